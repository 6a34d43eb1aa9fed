"""Which phase ran when, for as long as readings are of it.

In:  stretches of time, newest last.     Out: the phase that a reading is of, if it is of one.
Pure.
"""

from __future__ import annotations

from collections.abc import Reversible
from dataclasses import dataclass

from edged.power.forecast import Phase

# A reading teaches a gain when so much of it was one phase.
PURE_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which one phase ran, or none."""

    start_s: float
    end_s: float
    phase: Phase | None


def almost_all(stretches: Reversible[Stretch], start_s: float, end_s: float) -> Phase | None:
    """Return the phase that ran almost all the time between two moments; None: none did."""
    shares: dict[Phase | None, float] = {}
    for stretch in reversed(stretches):
        if stretch.end_s <= start_s:
            break
        inside_s = min(end_s, stretch.end_s) - max(start_s, stretch.start_s)
        if inside_s > 0:
            shares[stretch.phase] = shares.get(stretch.phase, 0.0) + inside_s
    phase, most_s = max(shares.items(), key=lambda share: share[1], default=(None, 0.0))
    return phase if most_s >= PURE_SHARE * (end_s - start_s) else None
