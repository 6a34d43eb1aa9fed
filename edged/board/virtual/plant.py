"""What a virtual board really draws: the truth that meters and governors do not see.

In:  what runs, at which operating point, for how long.     Out: watts, joules, degrees.
Deterministic: constants are drawn once from their ranges by a seed; nothing else is random.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edged.board.soc import Clocks, Point, Soc, Split, operating_points
from edged.power.forecast import Phase


@dataclass(frozen=True, slots=True)
class Thermal:
    """One heat store: SoC and heatsink against the air around the board.

    Attributes:
        resistance_k_w, capacity_j_k: a small passive heatsink; time constant about 150 s.
        leak_w: leakage above the one at `leak_c`, times exp of the degrees over `leak_k`, less 1.
        hot_c, hysteresis_c: from here on the kernel caps NPU and CPU.
    """

    ambient_c: float = 25.0
    resistance_k_w: float = 9.0
    capacity_j_k: float = 17.0
    leak_w: float = 0.10
    leak_c: float = 38.0
    leak_k: float = 35.0
    hot_c: float = 85.0
    hysteresis_c: float = 5.0


# Source: rk3588s.dtsi of the vendor kernel: above 85 C the NPU may run at 800 MHz, the big cores
# at 2208 MHz. RK3576 is taken to be alike.
HOT_NPU_HZ, HOT_CPU_HZ = 800e6, 2208e6
# Shortening a list costs its length: it is done when so many entries have become old.
FORGOTTEN_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class Plant:
    """One board: its true constants, and how its actuators lag."""

    soc: Soc
    thermal: Thermal
    actuator_s: float = 0.03

    def points(self, knobs: frozenset[str]) -> tuple[Point, ...]:
        """Return the true operating points in the same order as the prior's."""
        return operating_points(self.soc, knobs)


def drawn(nominal: Soc, seed: int) -> Plant:
    """Return a plant with constants from the stated ranges; seed 0 is the nominal one."""
    if seed == 0:
        return Plant(nominal, Thermal())
    random_ = random.Random(f"{nominal.name}/{seed}")

    def off(share: float) -> float:
        return random_.uniform(1 - share, 1 + share)

    speed = off(0.05)
    npu_busy, cpu_busy = off(0.2), off(0.2)
    soc = replace(
        nominal,
        npu_top_w=nominal.npu_top_w * off(0.1),
        npu_busy=Split(nominal.npu_busy.prefill * npu_busy, nominal.npu_busy.decode * npu_busy),
        cpu_busy=Split(nominal.cpu_busy.prefill * cpu_busy, nominal.cpu_busy.decode * cpu_busy),
        ddr_traffic_j_gb=nominal.ddr_traffic_j_gb * off(0.5),
        npu_on_w=nominal.npu_on_w * off(0.5),
        idle_w=nominal.idle_w + random_.uniform(-0.2, 0.2),
        ddr_decode_gb_s=nominal.ddr_decode_gb_s * speed,
        decode_s=nominal.decode_s / speed,
        prefill_fixed_s=nominal.prefill_fixed_s / speed,
        prefill_token_s=nominal.prefill_token_s / speed,
        spin_s=nominal.spin_s * off(0.5),
        ddr_tail_s=nominal.ddr_tail_s * off(0.5),
    )
    thermal = replace(Thermal(), resistance_k_w=9.0 * off(0.25), capacity_j_k=17.0 * off(0.25))
    return Plant(soc, replace(thermal, leak_w=0.10 * off(0.5)), actuator_s=0.03 * off(0.6))


class Board:
    """A plant as it runs: joules and degrees so far, and the operating point in force.

    `times_s` and `joules` are the truth: cumulative joules at each change of watts.
    """

    def __init__(self, plant: Plant, points: Sequence[Point], ambient_c: float) -> None:
        self.plant = plant
        self.points = points
        self.ambient_c = ambient_c
        self.now_s = 0.0
        self.times_s = [0.0]
        self.joules = [0.0]
        self.clock_changes_s: list[float] = []
        self.is_hot = False
        self._point = self.points[-1]
        self._place = len(self.points) - 1
        self._coming: tuple[float, int] | None = None
        self._step_end_s = -math.inf
        thermal = plant.thermal
        self.temperature_c = ambient_c + plant.soc.idle_w * thermal.resistance_k_w
        self._leak_w = 0.0
        self._heated_s = 0.0
        self._heated_j = 0.0

    @property
    def place(self) -> int:
        """Return the index of the operating point in force."""
        return self._place

    def ask_for(self, place: int) -> None:
        """Write the clocks; they change when the actuator has done its work."""
        target = self._place if self._coming is None else self._coming[1]
        if place != target:
            self._coming = (self.now_s + self.plant.actuator_s, place)

    def settle_clocks(self) -> None:
        """Let clocks that were asked for come into force; called between steps."""
        if self._coming is not None and self._coming[0] <= self.now_s:
            self._place = self._coming[1]
            self._point = self.points[self._place]
            self._coming = None
            self.clock_changes_s.append(self.now_s)

    def reachable(self) -> list[int]:
        """Return the points that the kernel's own caps leave."""
        if not self.is_hot:
            return list(range(len(self.points)))
        cool = [place for place, point in enumerate(self.points) if is_cool(point.clocks)]
        return cool or [0]

    def step_s(self, phase: Phase, tokens: int) -> float:
        """Return the seconds of a step at the point in force."""
        soc, point = self.plant.soc, self._point
        if phase == "prefill":
            return point.prefill_slow * (soc.prefill_fixed_s + tokens * soc.prefill_token_s)
        return point.decode_slow * soc.decode_s * (1 + soc.sequence_share * (tokens - 1))

    def run(self, until_s: float, phase: Phase | None) -> None:
        """Draw what a phase draws, or a pause, until `until_s`."""
        point = self._point
        base_w = self.plant.soc.idle_w + self._leak_w
        if phase is None:
            self._pause(until_s, base_w)
        else:
            self._draw(
                until_s, base_w + (point.prefill_w if phase == "prefill" else point.decode_w)
            )
            self._step_end_s = until_s

    def _pause(self, until_s: float, base_w: float) -> None:
        """Draw a pause: threads spin, then the DDR clock falls, at last the NPU goes off."""
        soc, point = self.plant.soc, self._point
        spun_s = self._step_end_s + soc.spin_s
        lowered_s = spun_s + soc.ddr_tail_s
        off_s = self._step_end_s + soc.npu_tail_s
        if self.now_s < spun_s:
            self._draw(min(until_s, spun_s), base_w + point.spin_w)
        if self.now_s < lowered_s and self.now_s < until_s:
            self._draw(min(until_s, lowered_s), base_w + point.on_w + point.ddr_w)
        if self.now_s < off_s and self.now_s < until_s:
            self._draw(min(until_s, off_s), base_w + point.on_w)
        if self.now_s < until_s:
            self._draw(until_s, base_w)

    def _draw(self, until_s: float, power_w: float) -> None:
        if until_s > self.now_s:
            self.joules.append(self.joules[-1] + power_w * (until_s - self.now_s))
            self.times_s.append(until_s)
            self.now_s = until_s

    def forget(self, before_s: float) -> None:
        """Drop the truth before a moment, once it has grown."""
        place = bisect_right(self.times_s, before_s) - 1
        if place >= FORGOTTEN_ENTRIES:
            del self.times_s[:place]
            del self.joules[:place]
            del self.clock_changes_s[: bisect_right(self.clock_changes_s, before_s)]

    def heat(self) -> None:
        """Bring the temperature up to now: one heat store, one resistance."""
        passed_s = self.now_s - self._heated_s
        if passed_s <= 0:
            return
        thermal = self.plant.thermal
        power_w = (self.joules[-1] - self._heated_j) / passed_s
        self._heated_s, self._heated_j = self.now_s, self.joules[-1]
        target_c = self.ambient_c + power_w * thermal.resistance_k_w
        tau_s = thermal.resistance_k_w * thermal.capacity_j_k
        self.temperature_c += (target_c - self.temperature_c) * (1 - math.exp(-passed_s / tau_s))
        above = math.exp((self.temperature_c - thermal.leak_c) / thermal.leak_k)
        self._leak_w = max(0.0, thermal.leak_w * (above - 1))
        limit_c = thermal.hot_c - (thermal.hysteresis_c if self.is_hot else 0.0)
        self.is_hot = self.temperature_c >= limit_c
        if self.is_hot and not is_cool(self._point.clocks):
            self.ask_for(max(self.reachable()))


def is_cool(clocks: Clocks) -> bool:
    """Return whether the kernel leaves these clocks to a hot SoC."""
    return clocks.npu_hz <= HOT_NPU_HZ and clocks.cpu_hz <= HOT_CPU_HZ
