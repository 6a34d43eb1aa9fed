"""What is seen of one cap after it was written.

In:  looks, one a second.     Out: whether somebody else sets this clock, or the cap does nothing.
Pure.
"""

from __future__ import annotations

from collections import deque

# Who writes a cap over ours more often than this in that time has other plans: we give way.
CONTEST_WRITES, CONTEST_S = 3, 60.0
# A clock over its cap at so many looks in a row while the engine works: the cap does nothing.
OVER_LOOKS = 3


class Watch:
    """The last looks at one cap."""

    def __init__(self) -> None:
        self._overwritten_s: deque[float] = deque()
        self._over = 0

    def is_contested(self, now_s: float) -> bool:
        """Note that it was overwritten; return whether that happens too often."""
        times_s = self._overwritten_s
        times_s.append(now_s)
        while times_s[0] < now_s - CONTEST_S:
            times_s.popleft()
        return len(times_s) > CONTEST_WRITES

    def is_idle_cap(self, *, runs_over: bool) -> bool:
        """Note whether the clock runs over the cap; return whether it has done so for long."""
        self._over = self._over + 1 if runs_over else 0
        return self._over >= OVER_LOOKS
