"""Outcomes and other words to devices: what happened becomes a `Reply`.

In:  rows, engine outcomes, joules, limits.     Out: settlements for the spool; messages.
Pure. Does not know: connections, the engine's socket.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.calibration import Asked, Calibration, confidence
from edged.contract import (
    Destination,
    Energy,
    Granted,
    Named,
    Outbound,
    Reply,
    Timing,
    Usage,
    encode,
    parse,
    status_of,
    to_publish,
)
from edged.engine.frames import Outcome
from edged.errors import Refusal
from edged.spool.rows import Job, Letter, Row, Settlement

# A refusal or a repeated outcome is of use for as long as a device may still wait for it.
REFUSAL_EXPIRY_S = 300


@dataclass(frozen=True, slots=True)
class Run:
    """What the daemon knows of one inference when it ends.

    Attributes:
        queued_s: from acceptance to its start, s.
        estimated_s: what `accepted` said; None where it said nothing.
        joules: above idle.
        source: of the joules: `metered`, `simulated` or `estimated`.
        is_settled: whether no part of them is forecast.
        throttled: why the limits were lower than configured; None if they were not.
    """

    row: Row
    job: Job
    queued_s: float
    joules: float
    source: str
    is_settled: bool
    throttled: str | None
    model: tuple[str, str]
    estimated_s: float | None = None


@dataclass(slots=True)
class Answers:
    """Makes replies in the name of one board.

    Attributes:
        calibration: of the templates in force; others come with theirs.
    """

    node: str
    calibration: Calibration = field(default_factory=Calibration)

    def outcome(self, run: Run, outcome: Outcome, event: str | None) -> Settlement:
        """Return the settlement of an inference that ended.

        Args:
            run: what the daemon knows of it.
            outcome: what the engine said.
            event: `expired` or `cancelled` when the daemon stopped it for that; else None.
        """
        if outcome.finish == "cancelled":
            return self._ended(run, outcome, event or "cancelled")
        if outcome.finish == "failed":
            return self._ended(run, outcome, "error", outcome.reason, outcome.detail)
        if run.job.schema is None:
            return self._ended(run, outcome, "done")
        try:
            parse(outcome.text)
        except ValueError:
            detail = "the engine's answer is not the JSON that the schema asks for"
            return self._ended(run, outcome, "error", "invalid_answer", detail)
        return self._ended(run, outcome, "done")

    def unstarted(self, row: Row, event: str, now_s: float) -> Settlement:
        """Return the settlement of a row that was not running: `expired` or `cancelled`."""
        reply = self._reply(row, event)
        queued_s = max(0.0, now_s - row.accepted_s)
        reply.timing = Timing(queued_s=_seconds(queued_s), total_s=_seconds(queued_s))
        return Settlement(event, reply.status, encode(reply))

    def superseded(self, row: Row) -> Settlement:
        """Return the settlement of a row whose place a newer prompt takes."""
        reply = self._reply(row, "superseded")
        return Settlement("superseded", reply.status, encode(reply))

    def failed(self, row: Row, detail: str) -> Settlement:
        """Return the settlement of a row whose engine died with it too often."""
        reply = self._reply(row, "error", "engine_failed")
        reply.detail = detail
        return Settlement("error", reply.status, encode(reply))

    def accepted(
        self, row: Row, position: int, estimated_s: float | None, now_s: float
    ) -> Outbound:
        """Return the `accepted` message of a durable row."""
        reply = self._reply(row, "accepted")
        reply.queue_position = position
        reply.estimated_s = estimated_s if estimated_s is None else _seconds(estimated_s)
        return self._to_device(reply, row, now_s)

    def chunk(self, row: Row, seq: int, text: str, now_s: float) -> Outbound:
        """Return one piece of a streamed answer."""
        reply = self._reply(row, "chunk")
        reply.seq, reply.text = seq, text
        return self._to_device(reply, row, now_s)

    def refused(self, id: str | None, to: Destination, refusal: Refusal) -> Outbound:
        """Return the message that answers a publish that got no place in the spool."""
        reply = Reply(
            id=id or "",
            event="refused",
            status=status_of("refused", refusal.reason),
            reason=refusal.reason,
            detail=refusal.detail,
            retry_after_s=refusal.retry_after_s,
            node=self.node,
        )
        return to_publish(encode(reply), "refused", reply.status, to, REFUSAL_EXPIRY_S)

    def letter(self, letter: Letter, expiry_s: float) -> Outbound:
        """Return a stored outcome, verbatim."""
        settlement = letter.settlement
        return to_publish(
            settlement.body,
            settlement.event,
            settlement.status,
            letter.destination,
            expiry_s,
        )

    def _ended(
        self,
        run: Run,
        outcome: Outcome,
        event: str,
        reason: str | None = None,
        detail: str | None = None,
    ) -> Settlement:
        reply = self._reply(run.row, event, reason)
        reply.detail = detail
        if event == "done":
            _put_text(reply, outcome, is_json=run.job.schema is not None)
            self._put_confidence(reply, outcome, run)
        reply.usage = Usage(
            prompt_tokens=outcome.prompt_tokens,
            cached_tokens=outcome.cached_tokens,
            output_tokens=outcome.output_tokens,
            forced_tokens=outcome.forced_tokens,
        )
        ttft_s = None if outcome.ttft_s is None else _seconds(run.queued_s + outcome.ttft_s)
        total_s = _seconds(run.queued_s + outcome.total_s)
        reply.timing = Timing(
            queued_s=_seconds(run.queued_s),
            ttft_s=ttft_s,
            prefill_s=_known_seconds(outcome.prefill_s),
            decode_s=_known_seconds(outcome.decode_s),
            estimated_s=_known_seconds(run.estimated_s),
            total_s=total_s,
        )
        reply.energy = Energy(j=round(run.joules, 4), source=run.source, settled=run.is_settled)
        reply.limits = Granted(
            context_tokens=outcome.context_tokens,
            sequences=outcome.sequences,
            throttled=run.throttled or False,
            trimmed_tokens=run.job.trimmed_tokens,
        )
        reply.model = Named(name=run.model[0], digest=run.model[1])
        if run.job.template is not None:
            name, digest = run.job.template
            reply.template = Named(name=name, digest=digest)
        return Settlement(event, reply.status, encode(reply))

    def _put_confidence(self, reply: Reply, outcome: Outcome, run: Run) -> None:
        job = run.job
        digest = None if job.template is None else job.template[1]
        asked = Asked(run.model[1], digest, job.schema, job.wire, job.sampling)
        found = confidence(outcome, self.calibration.curves(asked))
        reply.confidence = None if found.answer is None else _share(found.answer)
        shares = {name: _share(one) for name, one in found.fields.items()}
        reply.confidence_fields = shares or None
        reply.calibrated = found.is_calibrated

    def _reply(self, row: Row, event: str, reason: str | None = None) -> Reply:
        return Reply(
            id=row.id,
            event=event,
            status=status_of(event, reason),
            reason=reason,
            deadline_certain=None if row.deadline_certain else False,
            node=self.node,
            attempt=row.attempt,
        )

    def _to_device(self, reply: Reply, row: Row, now_s: float) -> Outbound:
        left_s = row.deadline_s - now_s
        return to_publish(encode(reply), reply.event, reply.status, row.destination, left_s)


def _put_text(reply: Reply, outcome: Outcome, *, is_json: bool) -> None:
    if is_json:
        reply.answer = parse(outcome.text)
    else:
        reply.text = outcome.text
    reply.finish = outcome.finish
    reply.filled = list(outcome.filled) or None
    reply.seed = outcome.seed


def _share(value: float) -> float:
    """Return a probability as it is told; only what is 0 or 1 is told as that."""
    return round(value, 4) if value in (0.0, 1.0) else min(0.9999, max(0.0001, round(value, 4)))


def _seconds(value_s: float) -> float:
    return round(value_s, 4)


def _known_seconds(value_s: float | None) -> float | None:
    return None if value_s is None else _seconds(value_s)
