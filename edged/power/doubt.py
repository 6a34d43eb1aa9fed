"""How much more than forecast a step may draw while the meter has not yet seen its like.

In:  what was learned before, readings that taught a gain, changes of the operating point.
Out: a share of the watts above idle, for each phase.
Pure. The mean of the long window is metered but for its last moments; half of the peak's window is
forecast. So a doubt keeps the peak free, and the mean needs none.
"""

from __future__ import annotations

from edged.power.forecast import Learned, Phase

# Source: 32 plants drawn from the stated ranges draw at most 15 % more above idle than the prior.
PRIOR_SHARE = 0.15
# Source: the same plants; gains learned at one point are at most 5 % off at another.
MOVED_SHARE = 0.05
# What stays: pauses and the moments that no reading is pure of.
LEFT_SHARE = 0.03
# After so many readings of a phase its gain counts as learned; the first one takes most of it.
LEARNED_TICKS = 8


class Doubt:
    """The doubt at the operating point in force."""

    def __init__(self, learned: Learned) -> None:
        self._base: dict[Phase, float] = {
            "prefill": _base(learned.prefill_ticks),
            "decode": _base(learned.decode_ticks),
        }
        self._ticks: dict[Phase, int] = {"prefill": 0, "decode": 0}

    def teach(self, phase: Phase) -> None:
        """Note a reading that taught this phase's gain."""
        self._ticks[phase] += 1

    def move(self) -> None:
        """Note that another operating point is in force."""
        for phase, ticks in self._ticks.items():
            if ticks >= LEARNED_TICKS:
                self._base[phase] = MOVED_SHARE
            self._ticks[phase] = 0

    def share(self, phase: Phase) -> float:
        """Return by how much a step may draw more than forecast, above idle."""
        return max(LEFT_SHARE, self._base[phase] / (1 + self._ticks[phase]))


def _base(ticks: int) -> float:
    return MOVED_SHARE if ticks >= LEARNED_TICKS else PRIOR_SHARE
