"""Clocks that the kernel holds under ours: what is known of them from looks at the caps.

In:  what each look saw.     Out: the highest clock of each domain that counts as reachable.
Pure. The kernel shows the lowest of all caps, so that its own is not seen while ours is lower: what
was seen counts for a while, then it is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edged.board.knobs.cap import is_over
from edged.board.soc import DOMAINS, Clocks, Domain, Point

# A cap of the kernel counts so long after it was last seen. Heat takes about as long to go.
HELD_S = 60.0


class Ceilings:
    """The kernel's own caps.

    Attributes:
        found_hz: those that count now, by domain.
    """

    def __init__(self) -> None:
        self.found_hz: dict[Domain, float] = {}
        self._until_s: dict[Domain, float] = {}

    def see(self, found_hz: Mapping[Domain, float], now_s: float) -> bool:
        """Note what a look saw; return whether something else counts now."""
        before = dict(self.found_hz)
        for domain, clock_hz in found_hz.items():
            self.found_hz[domain] = clock_hz
            self._until_s[domain] = now_s + HELD_S
        for domain in [one for one, until_s in self._until_s.items() if until_s <= now_s]:
            del self.found_hz[domain], self._until_s[domain]
        return self.found_hz != before

    def usable(self, points: Sequence[Point]) -> list[int]:
        """Return the places of the points that are under every ceiling."""
        return [place for place, point in enumerate(points) if self._is_under(point.clocks)]

    def _is_under(self, clocks: Clocks) -> bool:
        wanted_hz = clocks.by_domain
        return not any(
            is_over(wanted_hz[domain], self.found_hz[domain])
            for domain in DOMAINS
            if domain in self.found_hz
        )
