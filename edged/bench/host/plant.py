"""The hidden plant: watts of CPU seconds, and the chip that shows them late, noisy and in steps.

In:  moments, and the cores that the engine kept busy since the last one.     Out: true joules; what
a power chip in the supply of such a machine would show.
Pure. The constants are drawn from a seed and known to nobody but the referee. The form is not the
forecast's: watts are no straight line of the load, follow it late, and grow with the heat of the
last half minute.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass

# A load under this share of the full one wakes what the first busy core wakes: caches, the bus.
WAKE_SHARE = 0.08
# The heat that leakage follows.
HEAT_S = 30.0
QUANTA_W = (0.00625, 0.0125, 0.025)


@dataclass(frozen=True, slots=True)
class Constants:
    """One machine that does not exist.

    Attributes:
        idle_w: with nothing to do.
        full_w: above idle at full load, cold.
        wake: share of `full_w` that any load at all draws.
        bend: exponent of the load for the rest; 1 would be a straight line.
        lag_s: time constant of watts behind the load.
        leak: watts that each watt above idle adds when it has lasted.
        delay_s, noise_w, quantum_w, gain: of the chip that shows it.
    """

    idle_w: float
    full_w: float
    wake: float
    bend: float
    lag_s: float
    leak: float
    delay_s: float
    noise_w: float
    quantum_w: float
    gain: float


def drawn(seed: int) -> Constants:
    """Return the machine of a seed: about 9 W at full load. All ranges are our choice."""
    random_ = random.Random(f"referee {seed}")
    idle_w, leak = random_.uniform(1.2, 1.9), random_.uniform(0.0, 0.06)
    return Constants(
        idle_w=idle_w,
        full_w=(random_.uniform(8.5, 9.5) - idle_w) / (1 + leak),
        wake=random_.uniform(0.05, 0.25),
        bend=random_.uniform(0.75, 1.3),
        lag_s=random_.uniform(0.03, 0.12),
        leak=leak,
        delay_s=random_.uniform(0.02, 0.08),
        noise_w=random_.uniform(0.01, 0.03),
        quantum_w=random_.choice(QUANTA_W),
        gain=random_.uniform(0.99, 1.01),
    )


def settled_w(constants: Constants, load: float) -> float:
    """Return the watts of a load that has lasted, 0 to about 1."""
    return constants.idle_w + (1 + constants.leak) * _above_w(constants, load)


def _above_w(constants: Constants, load: float) -> float:
    awake = 1 - math.exp(-load / WAKE_SHARE)
    share = constants.wake * awake + (1 - constants.wake) * math.pow(load, constants.bend)
    return constants.full_w * share


class Plant:
    """One machine in the course of time, from idle.

    Attributes:
        joules: drawn so far.
    """

    def __init__(self, constants: Constants, now_s: float) -> None:
        self._constants = constants
        self._now_s = now_s
        self._above_w = self._heat_w = 0.0
        self.joules = 0.0

    def advance(self, now_s: float, load: float) -> float:
        """Draw the time since the last call at this load; return its mean watts."""
        passed_s = now_s - self._now_s
        if passed_s <= 0:
            return self._constants.idle_w + self._above_w
        self._now_s, before_w, before_heat_w = now_s, self._above_w, self._heat_w
        wanted_w = _above_w(self._constants, load)
        # The mean of an exponential over the time, exact for a load that was even in it.
        self._above_w, mean_w = _followed(before_w, wanted_w, passed_s / self._constants.lag_s)
        self._heat_w, heat_w = _followed(before_heat_w, mean_w, passed_s / HEAT_S)
        drawn_w = self._constants.idle_w + mean_w + self._constants.leak * heat_w
        self.joules += drawn_w * passed_s
        return drawn_w


def _followed(from_w: float, to_w: float, times: float) -> tuple[float, float]:
    """Return where a first-order lag ends after so many time constants, and its mean on the way."""
    left = math.exp(-times)
    return to_w + (from_w - to_w) * left, to_w + (from_w - to_w) * (1 - left) / times


class Chip:
    """What a sampling power chip shows: means of whole intervals, late, noisy and in steps.

    Attributes:
        averaging_s: the driver's interval; whoever reads may change it.
        shown_w: what a reader finds now.
    """

    def __init__(self, constants: Constants, seed: int, averaging_s: float, now_s: float) -> None:
        self._constants = constants
        self._random = random.Random(f"chip {seed}")
        self._waiting: deque[tuple[float, float]] = deque()
        self._began_s, self._began_j = now_s, 0.0
        self.averaging_s = averaging_s
        self.shown_w = self._converted(constants.idle_w)

    def take(self, now_s: float, joules: float) -> None:
        """Take the plant's joules as of now."""
        passed_s = now_s - self._began_s
        if passed_s >= self.averaging_s:
            watts_w = self._converted((joules - self._began_j) / passed_s)
            self._waiting.append((now_s + self._constants.delay_s, watts_w))
            self._began_s, self._began_j = now_s, joules
        while self._waiting and self._waiting[0][0] <= now_s:
            self.shown_w = self._waiting.popleft()[1]

    def _converted(self, watts_w: float) -> float:
        one = self._constants
        noisy_w = one.gain * watts_w + self._random.gauss(0.0, one.noise_w)
        return round(noisy_w / one.quantum_w) * one.quantum_w
