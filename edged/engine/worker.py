"""The step loop: inbox, plan, one decode, sample, report.

In:  the inbox.     Out: one `Step` frame per step; `Held` where none may start.
Threads: this is the step thread; nothing else touches backend, sequences or KV cache. No timer:
with nothing to run, or after the lease ran out, it sleeps until the inbox has something.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from edged.engine.backend import Backend, KvFull, Run
from edged.engine.frames import Cancel, Go, Held, Limits, Outcome, Wish
from edged.engine.gate import Gate
from edged.engine.inbox import Attached, Detached, Inbox, Letter
from edged.engine.outlet import Outlet
from edged.engine.pace import Pace
from edged.engine.plan import Bounds, credit_after, credit_awaited, plan
from edged.engine.report import Report
from edged.engine.residents import Residents
from edged.engine.sequence import Ending, Sequence

log = logging.getLogger(__name__)

CANARY_IDLE_S = 15 * 60.0
# An NPU was seen to go over to garbage, or to nothing, without an error: also a busy one is asked.
CANARY_NPU_S = 15 * 60.0


class Worker:
    """Answers sequences, as many at once as the limits allow.

    Attributes:
        residents: who is in the KV cache or waits for it.
    """

    def __init__(
        self,
        backend: Backend,
        bounds: Bounds,
        limits: Limits,
        pace: Pace,
        *,
        canary: Callable[[Worker], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._bounds = bounds
        self._limits = self._limits_max = limits
        self._pace = pace
        self._canary = canary
        self._clock = clock
        self.residents = Residents(backend)
        self._gate = Gate()
        self._outlet: Outlet | None = None
        self._heard_s = self._lease_ends_s = 0.0
        self._stepped_s = self._checked_s = clock()
        self._step_s = 0.0
        self._is_suspect = False
        self._steps = 0
        self._credit_s = 0.0

    def run(self, inbox: Inbox) -> None:
        """Serve until the inbox closes."""
        is_busy = False
        while (letters := inbox.take(block=not is_busy)) is not None:
            is_busy = self.turn(letters)

    def turn(self, letters: Collection[Letter]) -> bool:
        """Obey what has come and run a step, if one may start; return whether another may."""
        report = Report(self._clock)
        for letter in letters:
            self._obey(letter, report)
        has_lease = self._clock() < self._lease_ends_s
        is_busy = has_lease and self._step(self._limits, report)
        self._send(report)
        if letters and has_lease and not is_busy and not self._gate.is_shut:
            self._tell_held()
        return is_busy

    def answer(self, sequence: Sequence) -> Outcome:
        """Run one sequence to its end, before or between the daemon's: the canary's way."""
        self._enter(sequence, Report(self._clock))
        while sequence.ending is None:
            report = Report(self._clock)
            self._step(self._limits_max, report)
            self._send(report)
        return sequence.outcome(self._clock())

    def _step(self, limits: Limits, report: Report) -> bool:
        """Run one step; return whether there was anything to run."""
        report.begin()
        self.residents.admit(limits)
        offers = self.residents.offers(limits)
        shares = plan(offers, self._bounds.within(limits), self._pace, self._credit_s)
        runs = self.residents.runs(shares)
        if not runs:
            self._gate.rest(self._tell)
            return False
        wish = Wish(sum(len(run.tokens) for run in runs), len(runs))
        if not self._gate.opens(wish, limits, self._tell):
            return False
        try:
            rows = self._backend.decode(runs)
        except KvFull as error:
            self._make_room(error, report)
            return True
        self._steps += 1
        self._credit_s = credit_after(offers, shares, self._pace, self._credit_s)
        self.residents.note(runs, self._steps)
        report.ran([(self.residents.running.get(run.sequence), run) for run in runs], self._pace)
        sampled = [run for run in runs if run.is_sampled]
        for run, row in zip(sampled, rows, strict=True):
            sequence = self.residents.running[run.sequence]
            sequence.ttft_s = sequence.ttft_s or self._clock() - sequence.arrived_s
            self._grow(sequence, sequence.sample(row), report)
        self._learn(runs, report)
        return True

    def _grow(self, sequence: Sequence, text: str, report: Report) -> None:
        report.grew(sequence, text)
        if sequence.ending is not None:
            self._doubt(sequence)
            self.residents.leave(sequence)
            report.ended(sequence)

    def _doubt(self, sequence: Sequence) -> None:
        """Take nothing from an NPU for a failure: too little memory gives that, and no error."""
        is_nothing = sequence.n_answer == 0 and sequence.ending == Ending("stop")
        if self._has_npu and is_nothing:
            detail = "the model on the NPU answered with nothing; ask again"
            sequence.end(Ending("failed", "engine_failed", detail))
            self._is_suspect = True

    def _learn(self, runs: list[Run], report: Report) -> None:
        self._stepped_s, self._step_s = self._clock(), report.step_s()
        sampled = sum(run.is_sampled for run in runs)
        others = sum(len(run.tokens) for run in runs) - sampled
        self._pace = self._pace.learned(others, sampled, self._step_s)

    def _make_room(self, error: KvFull, report: Report) -> None:
        if self.residents.make_room():
            return
        for sequence in list(self.residents.running.values()):
            ending = Ending("failed", "engine_failed", f"the KV cache is full: {error}")
            self._grow(sequence, sequence.end(ending), report)

    def _obey(self, letter: Letter, report: Report) -> None:
        match letter.item:
            case Attached(outlet):
                self._outlet = outlet
                self._limits = self._limits_max
                self._gate.forget()
            case Detached():
                self._drop_all()
                report.forget()
                self._outlet = None
            case Limits() as limits:
                self._limits = self._within_max(limits)
            case Go() as go:
                self._gate.take(go)
            case Cancel(id):
                self._cancel(id, report)
            case Outcome() as refused:
                report.outcomes.append(refused)
            case Sequence() as sequence:
                self._charge(sequence, letter.at_s)
                self._begin(sequence, report)
        # Work that took long to prepare comes behind frames that arrived later.
        self._heard_s = max(self._heard_s, letter.at_s)
        self._lease_ends_s = self._heard_s + self._limits.lease_s

    def _charge(self, sequence: Sequence, at_s: float) -> None:
        """Have the less urgent pay for what one waited for their step."""
        if self.residents.are_less_urgent(sequence):
            waited_s = min(self._stepped_s - at_s, self._step_s)
            self._credit_s = credit_awaited(self._credit_s, waited_s)

    def _begin(self, sequence: Sequence, report: Report) -> None:
        if self.residents.find(sequence.work.id):
            log.warning("work %s came twice; the first is being answered", sequence.work.id)
            return
        if self._is_doubtful():
            self._canary(self)
            self._checked_s, self._is_suspect = self._clock(), False
        self._enter(sequence, report)

    def _is_doubtful(self) -> bool:
        """Return whether the next request waits for the canary."""
        now_s = self._clock()
        is_due = self._has_npu and now_s - self._checked_s > CANARY_NPU_S
        return is_due or self._is_suspect or now_s - self._stepped_s > CANARY_IDLE_S

    @property
    def _has_npu(self) -> bool:
        return self._backend.npu_matmuls is not None

    def _enter(self, sequence: Sequence, report: Report) -> None:
        self.residents.add(sequence)
        self._grow(sequence, sequence.open(), report)

    def _cancel(self, id: str, report: Report) -> None:
        sequence = self.residents.find(id)
        if sequence is None:
            return  # it has ended; its outcome is on the way
        self._grow(sequence, sequence.end(Ending("cancelled")), report)

    def _drop_all(self) -> None:
        for sequence in [*self.residents.waiting, *self.residents.running.values()]:
            self.residents.leave(sequence)

    def _within_max(self, limits: Limits) -> Limits:
        return replace(
            limits,
            context_tokens=min(limits.context_tokens, self._limits_max.context_tokens),
            sequences=min(limits.sequences, self._limits_max.sequences),
        )

    def _tell(self, wish: Wish) -> None:
        if self._outlet is not None:
            self._outlet.send(wish)

    def _send(self, report: Report) -> None:
        if self._outlet is not None and report.has_news:
            self._outlet.send(report.step(self._backend.npu_matmuls))

    def _tell_held(self) -> None:
        """Say that nothing can run, if something should: silence is taken for a hang."""
        held = len(self.residents.waiting) + len(self.residents.running)
        if held and self._outlet is not None:
            self._outlet.send(Held(held))
