"""What the other threads hand to the step thread, in order.

In:  sequences, frames, daemons that come and go.     Out: all of it at once, between two steps.
Threads: `put` and `close` from any thread, `take` from the step thread, which sleeps in it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edged.engine.frames import Cancel, Go, Limits, Outcome
from edged.engine.outlet import Outlet
from edged.engine.rkllm.events import Event
from edged.engine.rkllm.request import Request
from edged.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Attached:
    """A daemon has come; steps are reported to it."""

    outlet: Outlet


@dataclass(frozen=True, slots=True)
class Detached:
    """The daemon has gone; what it asked for is nobody's any more."""


# `Request` and `Event` are of the RKLLM backend, whose runtime tells when it has a token.
Item = Sequence | Request | Event | Outcome | Cancel | Limits | Go | Attached | Detached


@dataclass(frozen=True, slots=True)
class Letter:
    """An item and when it arrived, monotonic s."""

    item: Item
    at_s: float


class Inbox:
    """A queue with an end. The daemon bounds it: it sends no more work than `Ready` allows."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, item: Item, at_s: float) -> None:
        """Add an item and wake the step thread."""
        with self._changed:
            self._letters.append(Letter(item, at_s))
            self._changed.notify()

    def close(self) -> None:
        """Let `take` return None from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    @property
    def is_closed(self) -> bool:
        """Whether the engine is to end."""
        return self._is_closed

    def take(self, *, block: bool, wait_s: float | None = None) -> list[Letter] | None:
        """Return what has arrived, waiting for something where `block`; None once closed.

        Args:
            block: whether to wait for something.
            wait_s: wait so long at most, s; None: without a limit.
        """
        with self._changed:
            if block:
                self._changed.wait_for(lambda: self._letters or self._is_closed, wait_s)
            letters, self._letters = self._letters, []
            return None if self._is_closed else letters
