"""The estimate that every machine has: watts from processor time and clocks.

In:  the engine's CPU time and the clocks.     Out: watts for the state, joules for each step.
Whatever the estimate says is named `estimated` where it is shown; the budget is not held by it.
Blocking: reads of /proc and /sys, microseconds each.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edged import config
from edged.board.meter import Reading
from edged.power.account import Counted

CPUFREQ = Path("/sys/devices/system/cpu/cpufreq")
# Dynamic power is C V^2 f; over the upper half of a clock range V rises with f, over the lower it
# is flat. The square stands between the two. Source: OPP tables of RK3588 in its device tree.
CLOCK_EXPONENT = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The CPU seconds that a process had used at one moment of the monotonic clock."""

    at_s: float
    cpu_s: float


class EstimateMeter:
    """Watts from the engine process's CPU time and the clocks, with configured coefficients.

    power = idle_w + busy cores x core_w x (clock / core_hz)^2. The sampling window is `window_s`.
    `engine_pid` tells the engine's process id, or None while none runs.
    """

    def __init__(
        self,
        power: config.Power,
        engine_pid: Callable[[], int | None],
        cpufreq: Path = CPUFREQ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._power = power
        self._engine_pid = engine_pid
        self._cpufreq = cpufreq
        self._samples: deque[Sample] = deque()
        self._pid: int | None = None
        self._counted = Counted(0.0, 0.0)
        self._core_w = self._busy_core_w()

    def read(self) -> Reading:
        """Return the estimate over the last window; a fresh engine starts a fresh window."""
        now_s, engine_pid = self._clock(), self._engine_pid()
        self._core_w = self._busy_core_w()
        cpu_s = 0.0 if engine_pid is None else process_cpu_s(engine_pid) or 0.0
        fresh = Sample(now_s, cpu_s)
        self._count(fresh, same_engine=engine_pid == self._pid)
        if engine_pid != self._pid:
            self._pid = engine_pid
            self._samples.clear()
        self._samples.append(fresh)
        while len(self._samples) > 2 and self._samples[1].at_s <= now_s - self._power.window_s:
            self._samples.popleft()
        busy = busy_cores(self._samples, self._power.window_s)
        return Reading(
            watts_w=self._power.idle_w + busy * self._core_w,
            at_s=now_s,
            averaging_s=self._power.window_s,
            error_share=self._power.error_share,
            name="estimate",
            origin="estimated",
        )

    @property
    def counted(self) -> Counted:
        """Return the joules from the first reading to the last one; they never fall."""
        return self._counted

    def _count(self, fresh: Sample, *, same_engine: bool) -> None:
        """Count the time since the last sample; what a new engine used before is not known."""
        if not self._samples:
            return
        last = self._samples[-1]
        used_s = max(0.0, fresh.cpu_s - last.cpu_s) if same_engine else 0.0
        idle_j = self._power.idle_w * max(0.0, fresh.at_s - last.at_s)
        counted = self._counted
        passed_j = idle_j + self.step_j(used_s)
        self._counted = Counted(counted.counter_j + passed_j, counted.idle_j + idle_j)

    def step_j(self, cpu_s: float) -> float:
        """Return the estimated joules above idle of `cpu_s` CPU seconds; no I/O.

        The clocks are those of the last reading: steps are counted on the event loop.
        """
        return cpu_s * self._core_w

    def _busy_core_w(self) -> float:
        clock_hz = clocks_hz(self._cpufreq)
        ratio = 1.0 if clock_hz is None else clock_hz / self._power.core_hz
        return float(self._power.core_w * ratio**CLOCK_EXPONENT)


def busy_cores(samples: Sequence[Sample], window_s: float) -> float:
    """Return how many cores a process kept busy, as the mean of the last `window_s`.

    Where the window begins between two samples the CPU time between them counts evenly: a board
    that idled for an hour and then works does not show the mean of the hour.
    """
    last = samples[-1]
    began_s = last.at_s - window_s
    used_s = covered_s = 0.0
    for earlier, later in itertools.pairwise(samples):
        length_s = later.at_s - earlier.at_s
        inside_s = later.at_s - max(earlier.at_s, began_s)
        if length_s > 0 and inside_s > 0:
            used_s += (later.cpu_s - earlier.cpu_s) * inside_s / length_s
            covered_s += inside_s
    return max(0.0, used_s / covered_s) if covered_s else 0.0


def clocks_hz(cpufreq: Path) -> float | None:
    """Return the mean clock of the CPU policies; None where the kernel does not tell.

    Source: Documentation/admin-guide/pm/cpufreq.rst: scaling_cur_freq is in kHz.
    """
    found = []
    for path in cpufreq.glob("policy*/scaling_cur_freq"):
        try:
            found.append(float(path.read_text()) * 1000)
        except (OSError, ValueError):
            continue  # a policy whose cores are offline
    return sum(found) / len(found) if found else None


def process_cpu_s(pid: int) -> float | None:
    """Return user plus system seconds of a process; None when it is gone.

    Source: proc_pid_stat(5): utime and stime are fields 14 and 15, in clock ticks; the command's
    name in field 2 may hold spaces.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
