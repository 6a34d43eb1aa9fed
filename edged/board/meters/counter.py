"""Turns an energy counter into watts: nothing between two looks is missed.

In:  microjoules and the time of each look.     Out: mean watts of the time between.
Pure. RAPL's counters wrap at a range that the kernel tells; those of a chip start at 0 after it
lost power, which is no wrap.
"""

from __future__ import annotations

from dataclasses import dataclass

# Source: Intel SDM 14.10: RAPL counters move about every millisecond; several make a mean.
SHORTEST_S = 0.02


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean watts of the last `length_s`."""

    mean_w: float
    length_s: float


class EnergyCounter:
    """What a counter said last.

    Args:
        range_uj: where it wraps to 0; None if that is not known.
    """

    def __init__(self, range_uj: float | None = None) -> None:
        self._range_uj = range_uj
        self._last: tuple[float, float] | None = None

    def take(self, energy_uj: float, at_s: float) -> Interval | None:
        """Return the mean since the last look; None at the first, after a restart, or too soon."""
        if self._last is None:
            self._last = (energy_uj, at_s)
            return None
        last_uj, last_s = self._last
        if at_s - last_s < SHORTEST_S:
            return None  # the last look stays: the next one covers both
        self._last = (energy_uj, at_s)
        used_uj = energy_uj - last_uj
        if used_uj < 0:
            if self._range_uj is None:
                return None
            used_uj += self._range_uj
        return Interval(used_uj / 1e6 / (at_s - last_s), at_s - last_s)
