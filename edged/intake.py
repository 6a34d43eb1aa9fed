"""The way in: groups of prompts become durable, then are acknowledged.

In:  deliveries from mqtt.     Out: rows in the spool; refusals, `accepted` and repeated outcomes.
Order of a group: read, measure, commit, refusals and repeats (until the broker has them), PUBACKs
in arrival order, `accepted`. Whatever fails before the PUBACK comes again from the broker.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import assert_never

from edged.admission import CancelOrder, Refused, Site, Submission, admit, read
from edged.answers import Answers
from edged.contract import Outbound
from edged.dispatch import Dispatch
from edged.engine.client import EngineClient
from edged.engine.frames import Measured
from edged.errors import BrokerGone, Refusal
from edged.mqtt import Delivery, Session
from edged.rows import Answered, Candidate, Conflict, Fresh, Full, Known, Row, Verdict
from edged.spool import Spool

log = logging.getLogger(__name__)

# Without an answer from the engine's intake in this time, the engine decides when it runs.
MEASURE_S_MAX = 0.05
ENGINE_DOWN_RETRY_S = 60.0
FULL_RETRY_S = 30.0


class Intake:
    """Takes deliveries until it is cancelled."""

    def __init__(
        self,
        session: Session,
        spool: Spool,
        engine: EngineClient,
        dispatch: Dispatch,
        site: Site,
        answers: Answers,
    ) -> None:
        self._session = session
        self._spool = spool
        self._engine = engine
        self._dispatch = dispatch
        self._site = site
        self._answers = answers
        self._serials = itertools.count(1)
        self.unanswerable = 0

    async def run(self) -> None:
        """Take groups of deliveries, for ever."""
        while True:
            group = await self._session.deliveries()
            try:
                await self._take(group)
            except BrokerGone:
                log.info("connection lost in a group of %d; the broker sends it again", len(group))

    async def _take(self, group: Sequence[Delivery]) -> None:
        messages = [read(item.inbound, self._site, self._fresh_id()) for item in group]
        submissions = [message for message in messages if isinstance(message, Submission)]
        orders = [message for message in messages if isinstance(message, CancelOrder)]
        refused = [message for message in messages if isinstance(message, Refused)]
        candidates, refused_later = await self._admitted(submissions)
        verdicts = await self._spool.accept(candidates)
        first, accepted = self._told(candidates, verdicts)
        first += self._refusals(refused + refused_later)
        for order in orders:
            first += await self._dispatch.cancel(order)
        await asyncio.gather(*(self._session.publish(message) for message in first))
        self._session.acknowledge(group)
        await asyncio.gather(*(self._session.publish(self._accepted(row)) for row in accepted))
        self._dispatch.wake()

    async def _admitted(
        self, submissions: Sequence[Submission]
    ) -> tuple[list[Candidate], list[Refused]]:
        """Return the candidates and the refused, each in arrival order."""
        candidates: list[Candidate] = []
        refused: list[Refused] = []
        measured = await asyncio.gather(*(self._measure(item) for item in submissions))
        for submission, tokens in zip(submissions, measured, strict=True):
            try:
                candidates.append(self._candidate(submission, tokens))
            except Refusal as refusal:
                refused.append(Refused(submission.sender, refusal))
        return candidates, refused

    async def _measure(self, submission: Submission) -> Measured | None:
        job = submission.job
        return await self._engine.measure(job.prompt, job.schema, MEASURE_S_MAX)

    def _candidate(self, submission: Submission, measured: Measured | None) -> Candidate:
        engine = self._engine.state
        if engine.phase == "broken":
            raise Refusal("engine_down", engine.problem, ENGINE_DOWN_RETRY_S)
        return admit(submission, measured, self._dispatch.context_tokens_max)

    def _told(
        self, candidates: Sequence[Candidate], verdicts: Sequence[Verdict]
    ) -> tuple[list[Outbound], list[Row]]:
        """Return what must be said before the PUBACKs, and the rows to call accepted after them."""
        first: list[Outbound] = []
        accepted: list[Row] = []
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            match verdict:
                case Fresh(row) | Known(row):
                    if candidate.receipt or candidate.stream:
                        accepted.append(row)
                case Answered(letter=letter):
                    expiry_s = self._site.outcome_ttl_s
                    first.append(self._answers.letter(letter, expiry_s))
                case Conflict(id):
                    detail = f"id {id} belongs to another prompt of this client"
                    first.append(self._refusal(candidate, Refusal("id_conflict", detail)))
                case Full(reason, detail):
                    refusal = Refusal(reason, detail, FULL_RETRY_S)
                    first.append(self._refusal(candidate, refusal))
                case _:
                    assert_never(verdict)
        return first, accepted

    def _refusal(self, candidate: Candidate, refusal: Refusal) -> Outbound:
        return self._answers.refused(candidate.id, candidate.destination, refusal)

    def _refusals(self, refused: Sequence[Refused]) -> list[Outbound]:
        messages = []
        for item in refused:
            log.info("refused: %s", item.refusal)
            if item.sender is None:
                self.unanswerable += 1
            else:
                to = item.sender
                messages.append(self._answers.refused(to.id, to.destination, item.refusal))
        return messages

    def _accepted(self, row: Row) -> Outbound:
        position, estimated_s = self._dispatch.outlook(row.serial)
        return self._answers.accepted(row, position, estimated_s, self._spool.clock.now_s())

    def _fresh_id(self) -> str:
        """Return an id that no start of this board ever gave."""
        return f"b-{self._spool.boot}-{next(self._serials)}"
