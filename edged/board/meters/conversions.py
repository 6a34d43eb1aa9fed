"""When the conversions of a chip ended, told by nothing but its readings.

In:  what was read, and when it was asked for.     Out: the end of the mean that was read.
Pure. A chip averages without a pause and shows its last whole mean; nobody says since when. Taken
for the present, it is late by up to a conversion, and read at a period of its own some means count
twice and others once: a beat with the steps' own rhythm that a window never forgets. So the ends
are followed like a clock that ticks evenly, of which only now and then a tick is seen: a mean that
is equal to the one before, as an idle board's often is, cannot be told from it.
"""

from __future__ import annotations

# Of a clock's offset so much is believed at each look: a change is seen up to a read period late.
# Much more would follow the beat of looks and ends, which may be the steps' own.
OFFSET_WEIGHT = 0.1
# A chip's oscillator may be so far off what its driver says; learned slowly, from many ends.
LENGTH_SHARE = 0.25
LENGTH_WEIGHT = 0.02
# The same figure again is the same mean seen twice, until another one must have ended.
SAME_LENGTHS = 1.75
# After so many missed ends nobody knows the clock any more: it is set anew.
LOST_LENGTHS = 3.0


class Conversions:
    """The even clock of one chip's means.

    Args:
        length_s: how long a mean takes, as the driver says it.
    """

    def __init__(self, length_s: float) -> None:
        self._told_s = self._length_s = length_s
        self._asked_s: float | None = None
        self._end_s = 0.0
        self._last_w = 0.0

    def end_s(self, watts_w: float, asked_s: float) -> float:
        """Return when the mean ended that was read as `watts_w` at `asked_s`."""
        before_s, self._asked_s = self._asked_s, asked_s
        if before_s is None:
            return self._set(watts_w, asked_s)
        # It ended between two looks: in the middle, for all that is known.
        seen_s = asked_s - min(asked_s - before_s, self._length_s) / 2
        gap_s = seen_s - self._end_s
        is_same = watts_w == self._last_w
        if is_same and gap_s < SAME_LENGTHS * self._length_s:
            return self._end_s
        if not -self._length_s <= gap_s <= LOST_LENGTHS * self._length_s:
            return self._set(watts_w, seen_s)
        if is_same:
            self._end_s += self._length_s
        else:
            self._tick(gap_s)
            # The last look found another one: whatever the clock says, this one ended after it.
            self._end_s = max(self._end_s, before_s)
        self._last_w, self._end_s = watts_w, min(self._end_s, asked_s)
        return self._end_s

    def _set(self, watts_w: float, end_s: float) -> float:
        self._last_w, self._end_s = watts_w, max(self._end_s, end_s)
        return self._end_s

    def _tick(self, gap_s: float) -> None:
        """End a mean; the gap to where it was seen corrects the clock's offset and its pace."""
        off_s = gap_s - self._length_s
        shortest_s, longest_s = (self._told_s * (1 + sign * LENGTH_SHARE) for sign in (-1, 1))
        self._length_s += LENGTH_WEIGHT * off_s
        self._length_s = min(longest_s, max(shortest_s, self._length_s))
        self._end_s += self._length_s + OFFSET_WEIGHT * off_s
