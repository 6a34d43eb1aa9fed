"""When the governor looks at the board again.

In:  that something happened; that an engine came or went.     Out: the end of each wait.
While steps run it looks as often as its meter tells, then once a second for a while, then not at
all: an idle board wakes for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

# Without a step for so long the board counts as idle: a look a second is enough.
BUSY_S = 1.0
# Looks go on so long after the last step: the floor is learned then.
SETTLING_S = 15.0


class Beat:
    """The governor's looks, one after the other.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heard_s = clock()
        self._woken = asyncio.Event()
        self._hurried = asyncio.Event()

    def wake(self) -> None:
        """Something happens: the looks go on."""
        self._heard_s = self._clock()
        self._woken.set()

    def hurry(self) -> None:
        """An engine came or went, and its clocks with it: the next look is now."""
        self.wake()
        self._hurried.set()

    def take_hurry(self) -> bool:
        """Return whether the look that is due was hurried, once."""
        was_hurried = self._hurried.is_set()
        self._hurried.clear()
        return was_hurried

    @property
    def is_resting(self) -> bool:
        """Return whether nothing happened for so long that no look is due."""
        return self._clock() - self._heard_s >= SETTLING_S

    @property
    def is_busy(self) -> bool:
        """Return whether steps run, as far as was heard."""
        return self._clock() - self._heard_s <= BUSY_S

    async def rest(self, period_s: float) -> bool:
        """Wait for the next look: for `period_s` at most while looks go on, else for work.

        Returns:
            Whether it was work that ended the wait.
        """
        if self.is_resting:
            self._woken.clear()
            await self._woken.wait()
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(period_s):
                await self._hurried.wait()
        return False
