"""What waits to be prepared, and the thread that prepares it, in order of arrival.

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
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, takewhile
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
# Measures that are answered in one write: so many at most, and none that is longer than this.
# No answer is held back for longer: a daemon waits 50 ms, and a long text takes some of them.
TOGETHER_MAX = 64
SHORT_CHARACTERS = 2048
HELD_S = 0.005


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

    def put(self, frames: Iterable[Work | Measure | Cancel], outlet: Outlet, at_s: float) -> None:
        """Have frames prepared; a cancel waits only for the work that it means."""
        with self._changed:
            for frame in frames:
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
        while firsts := self._firsts():
            first = firsts[0]
            match first.frame:
                case Measure():
                    self._measure(firsts)
                    self._pass(firsts, None)
                case Work() as work:
                    self._pass(firsts, self._prepared(work, first.at_s))
                case Cancel() as cancel:
                    self._pass(firsts, cancel)

    def _has(self, id: str) -> bool:
        works = (one.frame for one in self._waiting if isinstance(one.frame, Work))
        return any(work.id == id for work in works)

    def _firsts(self) -> list[_Waiting]:
        """Wait for the first one, and return it with those that are answered with it.

        Nothing once this is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if self._is_closed:
                return []
            first = self._waiting[0]
            alike = takewhile(lambda one: _are_answered_together(first, one), self._waiting)
            return list(islice(alike, TOGETHER_MAX)) or [first]

    def _pass(
        self, firsts: list[_Waiting], item: Sequence | Request | Outcome | Cancel | None
    ) -> None:
        """Hand on what became of the first ones, unless their daemon has gone meanwhile."""
        with self._changed:
            if not self._waiting or self._waiting[0] is not firsts[0]:
                return
            for _ in firsts:
                self._waiting.popleft()
            if item is not None:
                self._inbox.put(item, firsts[0].at_s)

    def _measure(self, waiting: list[_Waiting]) -> None:
        if self._preparer is None:
            log.debug("no answer to a measure before the model is loaded")
            return
        measured: list[Measured] = []
        began_s = since_s = time.monotonic()
        for one in waiting:
            if isinstance(one.frame, Measure) and began_s - one.at_s <= TRIM_S_MAX:
                measured.append(self._preparer.measured(one.frame))  # nobody waits for later ones
            if time.monotonic() - since_s > HELD_S:
                one.outlet.send(*measured)
                measured, since_s = [], time.monotonic()
        waiting[0].outlet.send(*measured)

    def _prepared(self, work: Work, arrived_s: float) -> Sequence | Request | Outcome:
        try:
            if self._preparer is None:
                raise Refusal("engine_down", "the model is being loaded; send work after `ready`")
            return self._preparer.sequence(work, arrived_s)
        except Refusal as refusal:
            return Outcome(work.id, "failed", reason=refusal.reason, detail=refusal.detail)


def _are_answered_together(first: _Waiting, one: _Waiting) -> bool:
    """Return whether one measure may wait for the other: no compiling is between them."""
    return (
        isinstance(first.frame, Measure)
        and isinstance(one.frame, Measure)
        and one.outlet is first.outlet
        and (one.frame.schema, one.frame.wire) == (first.frame.schema, first.frame.wire)
        and _characters(one.frame) <= SHORT_CHARACTERS
    )


def _characters(measure: Measure) -> int:
    prompt = measure.prompt
    texts = (
        prompt.root,
        prompt.payload,
        prompt.suffix,
        *(turn.content for turn in prompt.messages),
    )
    return sum(map(len, texts))
