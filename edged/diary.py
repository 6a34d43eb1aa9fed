"""What becomes of prompts: a log line and the metrics' counters for each thing that happens.

In:  rows, outcomes, refusals, as intake, dispatch and outbox see them.     Out: records with the
fields of `journal.about`; counts.
Called when a thing is so: after the commit, after the PUBACK. Neither a prompt's text nor anything
of an answer is in a line; of a refusal only its reason, since its detail quotes what was sent.
Does not know: connections, the engine, who reads the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque

from edged.contract import Reply
from edged.engine.frames import Step
from edged.errors import Refusal
from edged.journal import Event, about
from edged.live_figures import Ended
from edged.metrics import Metrics
from edged.spool.rows import Letter, Row, Settlement

log = logging.getLogger(__name__)

# Outcomes that a viewer is shown.
LAST_MAX = 8


class Diary:
    """Writes down what happens to prompts.

    Attributes:
        outcomes: so many of each event since the start of the daemon.
        prefilled, decoded: tokens that entered the KV cache since then.
        last: the newest outcomes, newest first.
        changed: set when there is something new to read in the metrics.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.outcomes: Counter[str] = Counter()
        self.prefilled = self.decoded = 0
        self.last: deque[Ended] = deque(maxlen=LAST_MAX)
        self.changed = asyncio.Event()

    def accepted(self, row: Row, template: str | None) -> None:
        """A prompt is durable."""
        ttl_s = row.deadline_s - row.accepted_s
        words = [template or "no template", f"priority {row.priority}", f"{ttl_s:.0f} s left"]
        if row.prompt_tokens is not None:
            words.append(f"{row.prompt_tokens} prompt tokens")
        fields = about(
            Event.ACCEPTED,
            request_id=row.id,
            client=row.client,
            template=template,
            priority=row.priority,
            prompt_tokens=row.prompt_tokens,
        )
        log.info("%s accepted: %s", _name(row.client, row.id), ", ".join(words), extra=fields)
        self._metrics.accepted.inc()
        self.changed.set()

    def refused(self, client: str | None, id: str | None, refusal: Refusal) -> None:
        """A message got no place in the spool."""
        reason = refusal.reason
        fields = about(Event.REFUSED, request_id=id, client=client, reason=reason)
        log.info("%s refused: %s", _name(client or "?", id), reason, extra=fields)
        self._metrics.refused.labels(reason).inc()
        self.changed.set()

    def requeued(self, row: Row, problem: str) -> None:
        """The engine ended with a prompt in its batch."""
        fields = about(Event.REQUEUED, request_id=row.id, client=row.client, attempt=row.attempt)
        text = "%s queued again, attempt %d: %s"
        log.warning(text, _name(row.client, row.id), row.attempt, problem, extra=fields)
        self._metrics.requeued.inc()
        self.changed.set()

    def stepped(self, step: Step) -> None:
        """The engine ended a step."""
        self.prefilled += step.prefill_tokens
        self.decoded += step.decode_tokens

    def ended(self, row: Row, settlement: Settlement) -> None:
        """An outcome is durable: what its reply says, but for the answer."""
        reply = Reply.model_validate_json(settlement.body)
        level = logging.WARNING if reply.event == "error" else logging.INFO
        text = "%s %s: %s"
        name = _name(row.client, row.id)
        log.log(level, text, name, reply.event, _figures(reply), extra=_outcome_fields(row, reply))
        self.outcomes[reply.event] += 1
        self.last.appendleft(_ended(row, reply))
        self._metrics.take(reply)
        self.changed.set()

    def delivered(self, letter: Letter, *, claimed: bool) -> None:
        """The broker has an outcome; `claimed` False: nobody subscribes to its topic."""
        event = letter.settlement.event
        fields = about(
            Event.DELIVERED,
            request_id=letter.id,
            client=letter.client,
            event=event,
            claimed="yes" if claimed else "no",
        )
        tail = "" if claimed else ", nobody subscribes to its topic"
        log.info("%s delivered: %s%s", _name(letter.client, letter.id), event, tail, extra=fields)
        self._metrics.delivered.inc()
        self.changed.set()

    def held(self, letter: Letter, hold_s: float) -> None:
        """Connections ended with an outcome again and again."""
        fields = about(Event.HELD_BACK, request_id=letter.id, client=letter.client)
        text = (
            "%s: connections end when its outcome of %d bytes is published; held back for %.0f s. "
            "The broker's log says why: a limit of packets, topics or access?"
        )
        size_bytes = len(letter.settlement.body)
        log.error(text, _name(letter.client, letter.id), size_bytes, hold_s, extra=fields)


def _ended(row: Row, reply: Reply) -> Ended:
    return Ended(
        client=row.client,
        id=row.id,
        event=reply.event,
        total_s=None if reply.timing is None else reply.timing.total_s,
        j=None if reply.energy is None else reply.energy.j,
    )


def _name(client: str, id: str | None) -> str:
    return f"{client}/{id or '?'}"


def _figures(reply: Reply) -> str:
    """Return what an outcome took, as far as it is known, in one line."""
    words = [] if reply.reason is None else [reply.reason]
    if reply.timing is not None:
        words.append(f"{reply.timing.total_s:.3f} s ({reply.timing.queued_s:.3f} s queued)")
    if reply.usage is not None:
        words.append(f"{reply.usage.prompt_tokens}+{reply.usage.output_tokens} tokens")
    if reply.energy is not None:
        words.append(f"{reply.energy.j:.3f} J {reply.energy.source}")
    if reply.attempt is not None and reply.attempt > 1:
        words.append(f"attempt {reply.attempt}")
    return ", ".join(words) or "not run"


def _outcome_fields(row: Row, reply: Reply) -> dict[str, dict[str, object]]:
    timing, usage, energy = reply.timing, reply.usage, reply.energy
    return about(
        Event.OUTCOME,
        request_id=row.id,
        client=row.client,
        template=None if reply.template is None else reply.template.name,
        event=reply.event,
        reason=reply.reason,
        attempt=reply.attempt,
        queued_s=None if timing is None else timing.queued_s,
        ttft_s=None if timing is None else timing.ttft_s,
        total_s=None if timing is None else timing.total_s,
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        j=None if energy is None else energy.j,
        j_source=None if energy is None else energy.source,
    )
