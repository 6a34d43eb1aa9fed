"""The meter that every machine has: clocks, volts and the engine's own work.

In:  devfreq, cpufreq and regulators below a root; the engine's CPU and NPU seconds.
Out: watts named `estimated`, with an error band that a calibration makes narrower.
Work that is not the engine's is not seen: it is in the error band. The NPU's own busy share is
not asked for: the driver's `load` is always 100 %, and its debug files power the NPU up.
Blocking: six or seven small files; volts only when a clock is new, each an I2C transfer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.board.domains import big_policies, ddr_devfreq, npu_devfreq, regulator
from edged.board.meter import Reading
from edged.board.meters.calibration import UNCALIBRATED, Calibration
from edged.board.meters.dynamic import Coefficients, State, board_w
from edged.board.meters.fault import MeterFault
from edged.board.sysfs import optional_number

# CPU seconds come in ticks of 10 ms: a window of a second holds a hundred of each core's.
WINDOW_S = 1.0
SHORTEST_S = 0.1
# What a core rail can be; anything else is another regulator's or a reading in a transition.
SUPPLY_V = (0.4, 1.5)


@dataclass(frozen=True, slots=True)
class Use:
    """What the engine process has used since it started.

    Attributes:
        cpu_s: CPU seconds of all its threads.
        npu_s: seconds that the NPU computed for it.
    """

    cpu_s: float
    npu_s: float = 0.0


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
    """C V^2 f times busy, over the last second.

    Args:
        use: the engine's totals; None while no engine runs.
        calibration: what an external meter taught; by default nothing.
    """

    def __init__(
        self,
        root: Path,
        coefficients: Coefficients,
        use: Callable[[], Use | None],
        calibration: Calibration = UNCALIBRATED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._coefficients = coefficients
        self._use = use
        self._calibration = calibration
        self._clock = clock
        self._policies = big_policies(root)
        self._npu, self._ddr = npu_devfreq(root), ddr_devfreq(root)
        self._cpu_volts = Volts(regulator(root, "vdd_cpu_big"))
        self._npu_volts = Volts(regulator(root, "vdd_npu"))
        self._samples: deque[tuple[float, Use]] = deque()
        self._look()

    @property
    def error_share(self) -> float:
        """Return the band: of the calibration, else of the coefficients."""
        known = self._calibration.error_share
        return self._coefficients.error_share if known is None else known

    def read(self) -> Reading:
        """Return the estimate of the last second; blocking.

        Raises:
            MeterFault: `settling`, in the first tenth of a second of an engine.
        """
        self._look()
        now_s = self._clock()
        busy_cores, npu_busy, length_s = self._work()
        estimated_w = board_w(self._coefficients, self._state(busy_cores, npu_busy))
        watts_w = self._calibration.corrected_w(estimated_w)
        return Reading(watts_w, now_s, length_s, self.error_share, "estimate", "estimated")

    def _look(self) -> None:
        """Note what the engine has used so far, and forget what was before the window."""
        now_s, use = self._clock(), self._use()
        if use is None or (self._samples and use.cpu_s < self._samples[-1][1].cpu_s):
            self._samples.clear()  # another engine counts from 0 again
        if use is not None:
            self._samples.append((now_s, use))
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - WINDOW_S:
            self._samples.popleft()

    def _work(self) -> tuple[float, float, float]:
        """Return busy cores, the NPU's busy share, and the seconds that they are the mean of."""
        if not self._samples:
            return 0.0, 0.0, 0.0
        (began_s, before), (ended_s, after) = self._samples[0], self._samples[-1]
        length_s = ended_s - began_s
        if length_s < SHORTEST_S:
            raise MeterFault("settling", "the estimate looks at the engine's work from here on")
        npu_busy = min(1.0, max(0.0, after.npu_s - before.npu_s) / length_s)
        return (after.cpu_s - before.cpu_s) / length_s, npu_busy, length_s

    def _state(self, busy_cores: float, npu_busy: float) -> State:
        clocks_khz = [optional_number(one / "scaling_cur_freq") for one in self._policies]
        told_khz = [clock_khz for clock_khz in clocks_khz if clock_khz is not None]
        cpu_hz = sum(told_khz) / len(told_khz) * 1e3 if told_khz else None
        # cur_freq of the NPU is what devfreq remembers: reading it powers nothing up.
        npu_hz = _clock_hz(self._npu) if npu_busy > 0 else None
        return State(
            busy_cores=busy_cores,
            npu_busy=npu_busy,
            cpu_hz=cpu_hz,
            cpu_v=self._cpu_volts.at(cpu_hz),
            npu_hz=npu_hz,
            npu_v=self._npu_volts.at(npu_hz),
            ddr_hz=_clock_hz(self._ddr),
        )


def _clock_hz(devfreq: Path | None) -> float | None:
    """Return the clock in force.

    Source: Documentation/ABI/testing/sysfs-class-devfreq: cur_freq is in Hz.
    """
    return None if devfreq is None else optional_number(devfreq / "cur_freq")
