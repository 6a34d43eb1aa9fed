"""Serves requests over the runtime, one at a time, with the frames of the other backends.

In:  the inbox: requests and orders of the daemon, events of the runtime.     Out: `Step` frames.
Threads: this is the step thread. The runtime computes on its own; after each token it waits in its
callback until this thread lets it go on, which it does while limits and lease allow, and where a
budget is held with a permit for each token. Prefill has no such place: its permit is for the whole
of it. Nothing is running: no timer; it sleeps until the inbox has something.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edged.engine.frames import Cancel, Go, Limits, Outcome, Wish
from edged.engine.gate import Gate
from edged.engine.inbox import Attached, Detached, Inbox, Letter
from edged.engine.rkllm.answering import Answering
from edged.engine.rkllm.events import Ended, Piece
from edged.engine.rkllm.prompt_cache import PromptCaches
from edged.engine.rkllm.request import Request, cache_request
from edged.engine.rkllm.session import Order, Runs
from edged.engine.rkllm.slices import Slices
from edged.engine.sequence import Ending
from edged.errors import EngineStuck

log = logging.getLogger(__name__)

CANARY_IDLE_S = 15 * 60.0
# The daemon takes an engine that says nothing for 30 s for hung; prefill can take longer.
BEAT_S = 1.0
NOT_CLEAN = "the runtime did not clear its KV cache"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the runtime may take, s.

    Attributes:
        prefill_s: until the first token.
        token_s: until the next one.
        abort_s: until an aborted run has ended, behind its prefill.
    """

    prefill_s: float
    token_s: float
    abort_s: float


class Worker:
    """Answers one request after the other."""

    def __init__(
        self,
        session: Runs,
        limits: Limits,
        patience: Patience,
        caches: PromptCaches | None,
        *,
        canary: Callable[[Worker], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._limits = self._limits_max = limits
        self._patience = patience
        self._caches = caches
        self._canary = canary
        self._clock = clock
        self._slices = Slices(clock)
        self._gate = Gate()
        self._waiting: list[Request] = []
        self._active: Answering | None = None
        self._last: Outcome | None = None
        self._heard_s = self._lease_ends_s = 0.0
        self._ended_s = clock()
        self._is_suspect = False
        self._places = 0

    def run(self, inbox: Inbox) -> None:
        """Serve until the inbox closes; an answer that is being made is given up.

        Raises:
            EngineStuck: the runtime does not come back; this process must be replaced.
            EngineUnusable: it answers its test prompt wrongly.
        """
        while self._turn(inbox):
            self._start_next(inbox)
            self._tell_held()

    def close(self, limit_s: float) -> None:
        """Give the model back; an answer that is being made is given up.

        Raises:
            NotBack: the runtime does not come back.
        """
        self._session.close(limit_s)
        if self._caches is not None and self._active is not None:
            saves = self._active.request.order.saves
            if saves is not None:
                self._caches.settle(saves, is_whole=False)

    def answer(self, request: Request) -> Outcome:
        """Run one request of the engine's own to its end, lease or not."""
        inbox, kept = Inbox(), (self._limits, self._lease_ends_s)
        self._limits, self._lease_ends_s = self._limits_max, math.inf
        self._begin(request, inbox)
        while self._active is not None:
            self._turn(inbox)
        self._limits, self._lease_ends_s = kept
        assert self._last is not None, "an answer that has ended has an outcome"
        return self._last

    def _turn(self, inbox: Inbox) -> bool:
        letters = inbox.take(block=True, wait_s=self._wait_s())
        if letters is None:
            return False
        for letter in letters:
            self._obey(letter, inbox)
        if self._active is not None:
            self._watch(self._active, inbox)
        return True

    def _obey(self, letter: Letter, inbox: Inbox) -> None:
        match letter.item:
            case Piece() as piece:
                self._take(piece)
                return
            case Ended() as ended:
                self._end_run(ended, inbox)
                return
            case Attached(outlet):
                self._slices.outlet = outlet
                self._limits = self._limits_max
                self._gate.forget()
            case Detached():
                self._drop_all()
                self._slices.outlet = None
            case Limits() as limits:
                tokens = min(limits.context_tokens, self._limits_max.context_tokens)
                self._limits = replace(limits, context_tokens=tokens)
            case Go() as go:
                self._gate.take(go)
            case Cancel(id):
                self._cancel(id)
            case Outcome() as refused:
                self._slices.tell(self._active, outcomes=[refused])
            case Request() as request:
                self._add(request)
        # Work that took long to prepare comes behind frames that arrived later.
        self._heard_s = max(self._heard_s, letter.at_s)
        self._lease_ends_s = self._heard_s + self._limits.lease_s

    def _add(self, request: Request) -> None:
        known = [one.work.id for one in self._waiting]
        if self._active is not None and self._active.request.is_reported:
            known.append(self._active.request.work.id)
        if request.work.id in known:
            log.warning("work %s came twice; the first is being answered", request.work.id)
            return
        self._places += 1
        request.place = self._places
        self._waiting.append(request)

    def _start_next(self, inbox: Inbox) -> None:
        if self._active is not None or not self._may_compute():
            return
        fitting = [one for one in self._waiting if one.cells <= self._limits.context_tokens]
        if not fitting:
            self._gate.rest(self._tell)
            return
        if self._is_suspect or self._clock() - self._ended_s > CANARY_IDLE_S:
            self._canary(self)
            self._is_suspect = False
        request = min(fitting, key=lambda one: (-one.work.priority, one.place))
        if not self._gate.opens(Wish(request.prompt_tokens, 1), self._limits, self._tell):
            return
        self._waiting.remove(request)
        self._begin(request, inbox)

    def _begin(self, request: Request, inbox: Inbox) -> None:
        self._active = Answering(request, self._limits, self._clock())
        self._slices.begin()
        if self._caches is not None:
            self._caches.used(request.root)
            if request.order.saves is not None:
                self._caches.mark(request.order.saves)
        self._run(request.order, inbox)

    def _run(self, order: Order, inbox: Inbox) -> None:
        self._session.begin(order, lambda event: inbox.put(event, self._clock()))

    def _take(self, piece: Piece) -> None:
        active = self._active
        assert active is not None, "a token belongs to a run"
        text = active.take(piece, self._clock())
        self._slices.tell(active, text, tokens=1)
        if active.stop_by_s is not None:
            self._session.abort()  # it was asked before the runtime had begun
        elif active.is_over:
            self._stop(active)

    def _end_run(self, ended: Ended, inbox: Inbox) -> None:
        active = self._active
        assert active is not None, "an end belongs to a run"
        text = active.end(ended)
        if active.ending is None:
            if not ended.is_clean:
                raise self._stuck(NOT_CLEAN)
            active.again()
            return
        self._settle(active, active.ending, text, ended.figures.prefill_tokens)
        if not ended.is_clean:
            raise self._stuck(NOT_CLEAN)

    def _settle(
        self, active: Answering, ending: Ending, text: str = "", prefill_tokens: int = 0
    ) -> None:
        """Tell how the request ended; nothing computes any more."""
        self._is_suspect = ending.reason == "engine_failed"
        self._ended_s = self._clock()
        self._active = None
        self._last = active.outcome(self._ended_s)
        outcomes = [self._last] if active.request.is_reported else []
        self._slices.tell(active, text, outcomes=outcomes, prefill_tokens=prefill_tokens)
        if self._limits.is_paced:
            self._gate.give_back(self._tell)
        self._keep_cache(active.request, self._last)

    def _keep_cache(self, request: Request, outcome: Outcome) -> None:
        """After the first answer to a template, have its constant part written."""
        if self._caches is None:
            return
        if request.order.saves is not None:
            is_whole = outcome.finish in ("stop", "length")
            self._caches.settle(request.order.saves, is_whole=is_whole)
        elif request.root and request.is_reported:
            path = self._caches.wanted(request.root)
            if path is not None:
                self._waiting.append(cache_request(request, path))

    def _cancel(self, id: str) -> None:
        for request in self._waiting:
            if request.work.id == id:
                self._waiting.remove(request)
                waited_s = self._clock() - request.arrived_s
                cancelled = Outcome(id, "cancelled", total_s=waited_s)
                self._slices.tell(self._active, outcomes=[cancelled])
                return
        if self._active is not None and self._active.request.work.id == id:
            self._give_up(self._active)

    def _drop_all(self) -> None:
        """Nobody waits for an answer any more."""
        self._waiting.clear()
        if self._active is not None:
            self._active.request.is_reported = False
            self._give_up(self._active)

    def _give_up(self, active: Answering) -> None:
        """End a request that nobody wants any more."""
        active.ending = active.ending or Ending("cancelled")
        if active.is_unbegun:
            self._settle(active, active.ending)
        else:
            self._stop(active)

    def _stop(self, active: Answering) -> None:
        """Ask the run to end: prefill is computed to its end all the same."""
        if active.stop_by_s is not None:
            return
        is_prefill = active.n_tokens == 0
        patience_s = self._patience.abort_s
        active.stop_by_s = self._clock() + patience_s
        if is_prefill:
            active.stop_by_s = max(
                active.stop_by_s, active.run_s + self._patience.prefill_s + patience_s
            )
        active.is_held = False
        self._session.abort()

    def _watch(self, active: Answering, inbox: Inbox) -> None:
        """Let the runtime go on, tell that it lives, or give it up."""
        if active.is_held and self._may_go_on(active):
            self._slices.begin()  # the wait was nobody's work
            if active.is_unbegun:
                active.begin(self._clock())
                self._run(active.request.again, inbox)
            else:
                active.is_held = False
                active.heard_s = self._clock()
                self._session.go_on()
        now_s = self._clock()
        if active.stop_by_s is not None and now_s > active.stop_by_s:
            raise self._given_up(active)
        if active.stop_by_s is None and not active.is_held and now_s > self._silent_by_s(active):
            log.error("the runtime has been silent for %.0f s; aborted", now_s - active.heard_s)
            active.ending = Ending("failed", "engine_failed", "the runtime stopped computing")
            active.stop_by_s = now_s + self._patience.abort_s
            self._session.abort()
        if not active.is_held and now_s - self._slices.begun_s >= BEAT_S:
            self._slices.tell(active)

    def _may_go_on(self, active: Answering) -> bool:
        if active.request.order.saves is not None:  # one token, which nobody waits for
            return True
        wish = Wish(active.request.prompt_tokens if active.is_unbegun else 1, 1)
        return self._may_compute() and self._gate.opens(wish, self._limits, self._tell)

    def _silent_by_s(self, active: Answering) -> float:
        patience = self._patience
        return active.heard_s + (patience.token_s if active.n_tokens else patience.prefill_s)

    def _given_up(self, active: Answering) -> EngineStuck:
        """Return the end of this process; what was cancelled is told, the rest is run again."""
        if active.ending is not None and active.ending.finish != "failed":
            outcome = active.outcome(self._clock())
            self._slices.tell(active, outcomes=[outcome] if active.request.is_reported else [])
        return self._stuck("the runtime does not end a run that was aborted")

    def _stuck(self, problem: str) -> EngineStuck:
        return EngineStuck(f"{problem}; the engine process is replaced")

    def _tell(self, wish: Wish) -> None:
        if self._slices.outlet is not None:
            self._slices.outlet.send(wish)

    def _tell_held(self) -> None:
        """Say that nothing can run, if something should: silence is taken for a hang."""
        active = self._active
        if (active is None or active.is_held) and not self._gate.is_shut:
            self._slices.tell_held(len(self._waiting) + (active is not None))

    def _may_compute(self) -> bool:
        return self._limits.sequences > 0 and self._clock() < self._lease_ends_s

    def _wait_s(self) -> float | None:
        """Return how long to sleep at most; without a limit where nothing computes."""
        active = self._active
        if active is None or active.is_held:
            return None
        now_s = self._clock()
        ends = [self._slices.begun_s + BEAT_S, self._silent_by_s(active)]
        if active.stop_by_s is not None:
            ends = [self._slices.begun_s + BEAT_S, active.stop_by_s]
        return max(0.0, min(ends) - now_s) + 0.001
