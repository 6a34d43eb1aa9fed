"""Whether the next step may start, where the daemon holds a power budget.

In:  `Limits.is_paced`, the size of the planned batch, `Go`.     Out: `Wish`, once for each batch
that waits.
Threads: the step thread's alone. The engine knows no watts: it says what it would run, and waits.
"""

from __future__ import annotations

from collections.abc import Callable

from edged.engine.frames import Go, Limits, Wish

NOTHING = Wish(0, 0)


class Gate:
    """The permit in force and the wish that waits for one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: another daemon has come."""
        self._permit = Go(0, 0, 0)
        self._wish: Wish | None = None

    def take(self, go: Go) -> None:
        """Take a permit in the place of the one before."""
        self._permit = go
        self._wish = None

    def opens(self, wish: Wish, limits: Limits, send: Callable[[Wish], None]) -> bool:
        """Return whether this batch may run now; where it may not, the daemon is told of it."""
        if not limits.is_paced:
            return True
        if self._covers(wish):
            permit = self._permit
            self._permit = Go(permit.tokens, permit.sequences, permit.steps - 1)
            return True
        self._tell(wish, send)
        return False

    @property
    def is_shut(self) -> bool:
        """Return whether a batch waits for its permit."""
        return self._wish not in (None, NOTHING)

    def give_back(self, send: Callable[[Wish], None]) -> None:
        """Say that nothing runs: what a permit was for may have ended without a token."""
        self._permit = Go(0, 0, 0)
        self._wish = None
        self._tell(NOTHING, send)

    def rest(self, send: Callable[[Wish], None]) -> None:
        """Give a permit or a wish back: there is nothing to run."""
        if self._permit.steps > 0 or self.is_shut:
            self.give_back(send)

    def _covers(self, wish: Wish) -> bool:
        permit = self._permit
        fits = wish.tokens <= permit.tokens and wish.sequences <= permit.sequences
        return permit.steps > 0 and fits

    def _tell(self, wish: Wish, send: Callable[[Wish], None]) -> None:
        if wish != self._wish:
            self._wish = wish
            send(wish)
