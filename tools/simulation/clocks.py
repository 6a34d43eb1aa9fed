"""The clocks of a simulated machine: they run on, jump, and begin again after a reboot.

In:  virtual seconds.     Out: CLOCK_BOOTTIME, the date, and whether anybody vouches for that.
"""

from __future__ import annotations

from collections.abc import Callable

from edged.clock import Instant

# Any date will do.
BEGAN_S = 1_900_000_000.0
# What a board without a clock believes after a reboot.
NO_CLOCK_S = 1_500_000_000.0


class Machine:
    """The clocks of one board, in the time of `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._boots = 1
        self._booted_s = clock()
        self._wall_off_s = BEGAN_S
        self._is_synchronised = True

    def boottime_s(self) -> float:
        """Return the seconds since the last boot."""
        return self._clock() - self._booted_s

    def instant(self) -> Instant:
        """Return what the clocks say now."""
        wall_s = self._clock() + self._wall_off_s
        return Instant(f"boot-{self._boots}", self.boottime_s(), wall_s, self._is_synchronised)

    def reboot(self, *, knows_date: bool) -> None:
        """Begin again; without a date until somebody tells it."""
        self._boots += 1
        self._booted_s = self._clock()
        self._is_synchronised = knows_date
        began_s = BEGAN_S if knows_date else NO_CLOCK_S - self._clock()
        self._wall_off_s = began_s

    def jump(self, by_s: float, *, is_synchronised: bool) -> None:
        """Set the date, right or wrong."""
        self._wall_off_s += by_s
        self._is_synchronised = is_synchronised
