"""The way in: groups of prompts become durable, then are acknowledged.

In:  deliveries from mqtt.     Out: rows in the spool; refusals, `accepted` and repeated outcomes.
Order of a group: read, measure, commit, refusals and repeats (until the broker has them), PUBACKs
in arrival order, `accepted`. Whatever fails before the PUBACK comes again from the broker.
Two tasks: one makes durable, one tells and acknowledges.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from edged.admission import (
    CancelOrder,
    Heard,
    Refused,
    Sender,
    Submission,
    admit,
    check_grant,
    read,
    trimmed,
)
from edged.answers import Answers
from edged.contract import Inbound, Outbound
from edged.diary import Diary
from edged.dispatch import Dispatch
from edged.engine.client import EngineClient
from edged.engine.frames import Measured
from edged.entry import Entry
from edged.errors import BrokerGone, Refusal
from edged.mqtt import Delivery, Session
from edged.orders import Mode
from edged.rows import Answered, Candidate, Conflict, Fresh, Full, Known, Row, Verdict
from edged.site import Site
from edged.spool import Spool

log = logging.getLogger(__name__)

# Without an answer from the engine's intake in this time, the engine decides when it runs.
MEASURE_S_MAX = 0.05
ENGINE_DOWN_RETRY_S = 60.0
FULL_RETRY_S = 30.0
# Somebody must switch something off, or raise the budget.
OVER_BUDGET_RETRY_S = 300.0


@dataclass(frozen=True, slots=True)
class _Group:
    """Deliveries whose prompts are durable or refused, on their way to the PUBACK.

    Attributes:
        first: what the broker must have before the PUBACKs: refusals and repeated outcomes.
        accepted: rows whose devices asked to be told.
    """

    deliveries: Sequence[Delivery]
    first: Sequence[Outbound]
    accepted: Sequence[Row]


def leave(inbound: Inbound) -> None:
    """Leave an order: the configuration allows none, though the broker may know of times it did."""


class Intake:
    """Takes deliveries until it is cancelled; `ordered` hears each of them first."""

    def __init__(
        self,
        session: Session,
        spool: Spool,
        engine: EngineClient,
        dispatch: Dispatch,
        site: Site,
        answers: Answers,
        diary: Diary,
        ordered: Callable[[Inbound], None] = leave,
    ) -> None:
        self._ordered = ordered
        self._session = session
        self._spool = spool
        self._engine = engine
        self._dispatch = dispatch
        self._site = site
        self._answers = answers
        self._diary = diary
        self._entry = Entry(spool, dispatch.line, dispatch.quotas)
        self._serials = itertools.count(1)
        # Never longer than the broker's window of unacknowledged prompts.
        self._taken: asyncio.Queue[_Group] = asyncio.Queue()
        self.unanswerable = 0

    async def run(self) -> None:
        """Take groups of deliveries and acknowledge them, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_groups(), name="take")
            tasks.create_task(self._acknowledge_groups(), name="acknowledge")

    async def _take_groups(self) -> None:
        """Make groups durable. This waits for no PUBACK: while it stands, none would be read."""
        while True:
            group = await self._session.deliveries()
            for item in group:
                self._ordered(item.inbound)  # its outcome tells: no PUBACK waits for it
            self._taken.put_nowait(await self._take(group))

    async def _acknowledge_groups(self) -> None:
        while True:
            group = await self._taken.get()
            try:
                await self._acknowledge(group)
            except BrokerGone:
                log.info("connection lost before %d PUBACKs", len(group.deliveries))
            self._dispatch.wake()

    async def _acknowledge(self, group: _Group) -> None:
        if not await self._session.serves(group.deliveries[-1].connection):
            raise BrokerGone("the connection that brought these prompts has ended")
        await asyncio.gather(*(self._session.publish(item) for item in group.first))
        self._session.acknowledge(group.deliveries)
        await asyncio.gather(
            *(self._session.publish(told) for told in self._accepted(group.accepted))
        )

    async def _take(self, deliveries: Sequence[Delivery]) -> _Group:
        heard = [(item, read(item.inbound, self._site, self._fresh_id())) for item in deliveries]
        admitted, refused = await self._admitted(heard)
        candidates, verdicts, over = await self._accept(admitted)
        refused += over
        accepted = [row for row in map(_to_accept, candidates, verdicts) if row is not None]
        for (_, candidate), verdict in zip(candidates, verdicts, strict=True):
            if isinstance(verdict, Fresh):
                self._took(candidate, verdict)
        told = [(item, self._refusal(refusal)) for item, refusal in refused]
        for (item, candidate), verdict in zip(candidates, verdicts, strict=True):
            told.append((item, self._told(candidate, verdict)))
        for item, order in heard:
            if isinstance(order, CancelOrder):
                told.append((item, await self._dispatch.cancel(order)))
        first = [message for item, message in told if message is not None and item.qos]
        for item, message in told:
            if message is not None and not item.qos:  # no PUBACK waits for this one
                self._session.publish_unacknowledged(message)
        return _Group(deliveries, first, accepted)

    async def _accept(
        self, admitted: Sequence[tuple[Delivery, Candidate]]
    ) -> tuple[list[tuple[Delivery, Candidate]], list[Verdict], list[tuple[Delivery, Refused]]]:
        """Return who is within its client's quota, the spool's verdicts on them, and the rest."""
        sequences = self._dispatch.grant.sequences
        judged = await self._entry.judge([candidate for _, candidate in admitted], sequences)
        within, over, charged = [], [], []
        for (item, candidate), found in zip(admitted, judged, strict=True):
            if isinstance(found, Refusal):
                over.append((item, Refused(_sender(candidate), found)))
            else:
                within.append((item, candidate))
                charged.append(found)
        verdicts = await self._spool.accept(
            [candidate for _, candidate in within],
            is_closed=self._dispatch.mode is Mode.DRAINING,
        )
        self._entry.settle(charged, verdicts)
        return within, verdicts, over

    async def _admitted(
        self, heard: Sequence[tuple[Delivery, Heard]]
    ) -> tuple[list[tuple[Delivery, Candidate]], list[tuple[Delivery, Refused]]]:
        """Return the candidates and the refused, each in arrival order."""
        submitted = [(item, message) for item, message in heard if isinstance(message, Submission)]
        refused = [(item, message) for item, message in heard if isinstance(message, Refused)]
        candidates: list[tuple[Delivery, Candidate]] = []
        judged = await asyncio.gather(*(self._judged(message) for _, message in submitted))
        for (item, _), judgement in zip(submitted, judged, strict=True):
            if isinstance(judgement, Refused):
                refused.append((item, judgement))
            else:
                candidates.append((item, judgement))
        return candidates, refused

    async def _judged(self, submission: Submission) -> Candidate | Refused:
        """Return whether a prompt is taken, trimmed where it is too long and asks for that."""
        first = measured = await self._measure(submission)
        while True:
            lost = first.prompt_tokens - measured.prompt_tokens if first and measured else 0
            try:
                return self._candidate(submission, measured, lost)
            except Refusal as refusal:
                shorter = trimmed(submission, refusal)
                if shorter is None:
                    return Refused(submission.sender, refusal)
            submission, measured = shorter, await self._measure(shorter)

    async def _measure(self, submission: Submission) -> Measured | None:
        job = submission.job
        return await self._engine.measure(job.prompt, job.schema, job.wire, MEASURE_S_MAX)

    def _candidate(
        self, submission: Submission, measured: Measured | None, trimmed_tokens: int
    ) -> Candidate:
        engine = self._engine.state
        if engine.phase == "broken":
            raise Refusal("engine_down", engine.problem, ENGINE_DOWN_RETRY_S)
        hopeless = self._dispatch.grants.hopeless
        if hopeless is not None:
            raise Refusal("over_budget", hopeless, OVER_BUDGET_RETRY_S)
        candidate = admit(submission, measured, self._dispatch.context_tokens_max)
        job, ahead = candidate.job, self._dispatch.unfinished
        granted = self._dispatch.grants.granted(job, candidate.ttl_s, ahead)
        check_grant(job, granted, submission.request.on_long)
        return replace(candidate, job=replace(candidate.job, trimmed_tokens=trimmed_tokens))

    def _took(self, candidate: Candidate, fresh: Fresh) -> None:
        template = candidate.job.template
        self._diary.accepted(fresh.row, None if template is None else template[0])
        self._dispatch.superseded(fresh.superseded)

    def _told(self, candidate: Candidate, verdict: Verdict) -> Outbound | None:
        """Return what must be said before the PUBACK; None for a prompt that is taken."""
        match verdict:
            case Fresh() | Known():
                return None
            case Answered(letter=letter):
                return self._answers.letter(letter, self._site.outcome_ttl_s)
            case Conflict(id):
                detail = f"id {id} belongs to another prompt of this client"
                refusal = Refusal("id_conflict", detail)
            case Full("draining" as reason, detail):
                refusal = Refusal(reason, detail)
            case Full(reason, detail):
                refusal = Refusal(reason, detail, self._dispatch.relief_s() or FULL_RETRY_S)
            case _:
                assert_never(verdict)
        self._diary.refused(candidate.client, candidate.id, refusal)
        return self._answers.refused(candidate.id, candidate.destination, refusal)

    def _refusal(self, refused: Refused) -> Outbound | None:
        to = refused.sender
        if to is None:
            self._diary.refused(None, None, refused.refusal)
            self.unanswerable += 1
            return None
        self._diary.refused(to.client, to.id, refused.refusal)
        return self._answers.refused(to.id, to.destination, refused.refusal)

    def _accepted(self, rows: Sequence[Row]) -> list[Outbound]:
        outlooks = self._dispatch.outlooks([row.serial for row in rows]) if rows else {}
        now_s = self._spool.clock.now_s()
        return [
            self._answers.accepted(row, outlook.position, outlook.estimated_s, now_s)
            for row, outlook in ((row, outlooks[row.serial]) for row in rows)
        ]

    def _fresh_id(self) -> str:
        """Return an id that no start of this board ever gave."""
        return f"b-{self._spool.boot}-{next(self._serials)}"


def _sender(candidate: Candidate) -> Sender:
    return Sender(candidate.client, candidate.id, candidate.destination, is_on_default_topic=False)


def _to_accept(candidate: tuple[Delivery, Candidate], verdict: Verdict) -> Row | None:
    """Return the row to call accepted, if the device asked to be told."""
    _, asked = candidate
    is_told = asked.receipt or asked.stream
    return verdict.row if is_told and isinstance(verdict, Fresh | Known) else None
