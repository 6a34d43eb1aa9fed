"""The meter that every machine has: clocks, volts and the engine's own work.

In:  devfreq, cpufreq and regulators below a root; the engine's CPU and NPU seconds.
Out: watts named `estimated`, with an error band that a calibration makes narrower; their joules,
and those of a step.
Work that is not the engine's is not seen: it is in the error band. The NPU's own busy share is
not asked for: the driver's `load` is always 100 %, and its debug files power the NPU up.
Blocking: six or seven small files; volts only when a clock is new, each an I2C transfer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edged.board.domains import big_policies, ddr_devfreq, npu_devfreq, regulator
from edged.board.meter import Reading
from edged.board.meters.calibration import UNCALIBRATED, Calibration
from edged.board.meters.dynamic import Coefficients, State, board_w
from edged.board.sysfs import optional_number
from edged.board.use import Busy, Sample, Use, busy_of

# CPU seconds come in ticks of 10 ms: a window of a second holds a hundred of each core's.
WINDOW_S = 1.0
# Less than this is no mean.
SHORTEST_S = 0.1
# What a core rail can be; anything else is another regulator's or a reading in a transition.
SUPPLY_V = (0.4, 1.5)


class Volts:
    """The volts of one rail, by clock; a clock that was seen before costs no transfer."""

    def __init__(self, rail: Path | None) -> None:
        self._rail = rail
        self._known_v: dict[float, float] = {}

    def at(self, clock_hz: float | None) -> float | None:
        """Return the rail's volts at the clock in force; None where nobody tells."""
        if self._rail is None or clock_hz is None:
            return None
        if clock_hz not in self._known_v:
            supply_v = (optional_number(self._rail / "microvolts") or 0.0) / 1e6
            if not SUPPLY_V[0] <= supply_v <= SUPPLY_V[1]:
                return None
            self._known_v[clock_hz] = supply_v
        return self._known_v[clock_hz]


class EstimateMeter:
    """C V^2 f times busy, over the last `window_s`.

    A look at the engine's work comes with each reading; joules are counted from look to look.

    Args:
        use: the engine's totals; None while no engine runs.
        calibration: what a meter taught; by default nothing.
        window_s: the reading is the mean of so long.

    Attributes:
        counter_j: joules from the first look to the last one; they never fall.
        idle_j: those of them that the board would have drawn with nothing to do.
    """

    def __init__(
        self,
        root: Path,
        coefficients: Coefficients,
        use: Callable[[], Use | None],
        calibration: Calibration = UNCALIBRATED,
        clock: Callable[[], float] = time.monotonic,
        window_s: float = WINDOW_S,
    ) -> None:
        self._coefficients = coefficients
        self._use = use
        self._calibration = calibration
        self._clock = clock
        self._window_s = window_s
        self._policies = big_policies(root)
        self._npu, self._ddr = npu_devfreq(root), ddr_devfreq(root)
        self._cpu_volts = Volts(regulator(root, "vdd_cpu_big"))
        self._npu_volts = Volts(regulator(root, "vdd_npu"))
        self._samples: deque[Sample] = deque()
        self._looked_s: float | None = None
        self._rest = State(0.0, 0.0)
        self.counter_j = self.idle_j = 0.0
        self._look()

    @property
    def error_share(self) -> float:
        """Return the band: of the calibration, else of the coefficients."""
        known = self._calibration.error_share
        return self._coefficients.error_share if known is None else known

    def read(self) -> Reading:
        """Return the estimate of the last window; a fresh engine starts a fresh one. Blocking."""
        self._look()
        now_s = self._clock()
        busy = busy_of(self._samples, self._window_s)
        known = busy if busy.covered_s >= SHORTEST_S else Busy()
        return Reading(
            watts_w=self._watts(known),
            at_s=now_s,
            averaging_s=self._window_s,
            error_share=self.error_share,
            name="estimate",
            origin="estimated",
        )

    def step_j(self, cpu_s: float, decode_s: float = 0.0) -> float:
        """Return the joules above idle of so many CPU seconds, and seconds of decode; no I/O.

        The clocks are those of the last reading: steps are counted on the event loop.
        """
        rest_w = self._watts(Busy())
        at_work_j = cpu_s * (self._watts(Busy(cores=1.0)) - rest_w)
        return at_work_j + decode_s * (self._watts(Busy(decode=1.0)) - rest_w)

    def _watts(self, busy: Busy) -> float:
        """Return the watts of such work at the clocks of the last look."""
        work = {"busy_cores": busy.cores, "npu_busy": busy.npu, "decoding": busy.decode}
        state = replace(self._rest, **work)
        if busy.npu > 0:
            # cur_freq of the NPU is what devfreq remembers: reading it powers nothing up.
            npu_hz = _clock_hz(self._npu)
            state = replace(state, npu_hz=npu_hz, npu_v=self._npu_volts.at(npu_hz))
        return self._calibration.corrected_w(board_w(self._coefficients, state))

    def _look(self) -> None:
        """Note clocks and what the engine has used, forget what was before the window, count."""
        now_s, use, samples = self._clock(), self._use(), self._samples
        if use is None or (samples and use.cpu_s < samples[-1].use.cpu_s):
            samples.clear()  # another engine counts from 0 again
        if use is not None:
            samples.append(Sample(now_s, use))
        while len(samples) > 2 and samples[1].at_s <= now_s - self._window_s:
            samples.popleft()
        self._rest = self._resting()
        self._count(now_s)

    def _count(self, now_s: float) -> None:
        """Count the time since the last look; what a new engine used before is not known."""
        passed_s = 0.0 if self._looked_s is None else max(0.0, now_s - self._looked_s)
        self._looked_s = now_s
        idle_w = self._calibration.corrected_w(self._coefficients.idle_w)
        drawn_w = max(idle_w, self._watts(busy_of(self._samples, passed_s)))
        self.idle_j += idle_w * passed_s
        self.counter_j += drawn_w * passed_s

    def _resting(self) -> State:
        """Return the clocks and volts of now, with nothing to do."""
        clocks_khz = [optional_number(one / "scaling_cur_freq") for one in self._policies]
        told_khz = [clock_khz for clock_khz in clocks_khz if clock_khz is not None]
        cpu_hz = sum(told_khz) / len(told_khz) * 1e3 if told_khz else None
        cpu_v = self._cpu_volts.at(cpu_hz)
        return State(0.0, 0.0, cpu_hz=cpu_hz, cpu_v=cpu_v, ddr_hz=_clock_hz(self._ddr))


def _clock_hz(devfreq: Path | None) -> float | None:
    """Return the clock in force.

    Source: Documentation/ABI/testing/sysfs-class-devfreq: cur_freq is in Hz.
    """
    return None if devfreq is None else optional_number(devfreq / "cur_freq")
