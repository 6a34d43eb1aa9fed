"""What waits to be prepared, and the thread that prepares it, one after the other.

In:  `Work`, `Measure` and `Cancel` frames of the intake thread.     Out: prepared work to the
inbox; `Measured` straight back to the daemon.
Threads: `run` is the preparing thread; everything else belongs to the intake thread, which takes
limits and leases meanwhile: a schema of a device may need a second on a board.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from edged.engine.frames import Cancel, Measure, Measured, Outcome, Work
from edged.engine.inbox import Inbox
from edged.engine.outlet import Outlet
from edged.engine.protocol import TRIM_S_MAX
from edged.engine.rkllm.request import Request
from edged.engine.sequence import Sequence
from edged.errors import Refusal

log = logging.getLogger(__name__)

# So many frames are more than a daemon waits for: a measure behind them is not answered.
WAITING_MAX = 256


class Preparing(Protocol):
    """Makes of a frame what the backend's worker runs."""

    def measured(self, frame: Measure) -> Measured:
        """Return how many tokens a request takes, or why it would be refused."""

    def sequence(self, frame: Work, arrived_s: float) -> Sequence | Request:
        """Return the request, ready to be run.

        Raises:
            Refusal: it cannot be.
        """


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A frame, who sent it, and when it arrived, monotonic s."""

    frame: Work | Measure | Cancel
    outlet: Outlet
    at_s: float


class Preparation:
    """A queue in order of arrival; its first one is being prepared."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._preparer: Preparing | None = None
        self._waiting: deque[_Waiting] = deque()
        self._is_closed = False
        self._changed = threading.Condition()

    def prepare_with(self, preparer: Preparing) -> None:
        """Answer requests from now on; before, the vocabulary was not there."""
        self._preparer = preparer

    def put(self, frame: Work | Measure | Cancel, outlet: Outlet, at_s: float) -> None:
        """Have a frame prepared; a cancel waits only for the work that it means."""
        with self._changed:
            if isinstance(frame, Cancel) and not self._has(frame.id):
                self._inbox.put(frame, at_s)
            elif not (isinstance(frame, Measure) and len(self._waiting) >= WAITING_MAX):
                self._waiting.append(_Waiting(frame, outlet, at_s))
                self._changed.notify()

    def forget(self) -> None:
        """Leave everything: its daemon has gone. Nothing of it comes to the inbox from now on."""
        with self._changed:
            self._waiting.clear()

    def close(self) -> None:
        """Let `run` return."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def run(self) -> None:
        """Prepare until `close`."""
        while (first := self._first()) is not None:
            match first.frame:
                case Measure() as measure:
                    self._measure(measure, first)
                    self._pass(first, None)
                case Work() as work:
                    self._pass(first, self._prepared(work, first.at_s))
                case Cancel() as cancel:
                    self._pass(first, cancel)

    def _has(self, id: str) -> bool:
        works = (one.frame for one in self._waiting if isinstance(one.frame, Work))
        return any(work.id == id for work in works)

    def _first(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            return None if self._is_closed else self._waiting[0]

    def _pass(self, first: _Waiting, item: Sequence | Request | Outcome | Cancel | None) -> None:
        """Hand on what became of the first one, unless its daemon has gone meanwhile."""
        with self._changed:
            if self._waiting and self._waiting[0] is first:
                self._waiting.popleft()
                if item is not None:
                    self._inbox.put(item, first.at_s)

    def _measure(self, measure: Measure, first: _Waiting) -> None:
        if self._preparer is None:
            log.debug("no answer to %s before the model is loaded", measure.kind)
        elif time.monotonic() - first.at_s <= TRIM_S_MAX:  # nobody waits for a later one
            first.outlet.send(self._preparer.measured(measure))

    def _prepared(self, work: Work, arrived_s: float) -> Sequence | Request | Outcome:
        try:
            if self._preparer is None:
                raise Refusal("engine_down", "the model is being loaded; send work after `ready`")
            return self._preparer.sequence(work, arrived_s)
        except Refusal as refusal:
            return Outcome(work.id, "failed", reason=refusal.reason, detail=refusal.detail)
