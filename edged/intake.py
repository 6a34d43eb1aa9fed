"""The way in: groups of prompts become durable, then are acknowledged.

In:  deliveries from mqtt.     Out: rows in the spool; refusals, `accepted` and repeated outcomes.
Order of a group: read, measure, commit, refusals and repeats (until the broker has them), PUBACKs
in arrival order, `accepted`. Whatever fails before the PUBACK comes again from the broker.
Three tasks: one reads and measures, one makes durable, one tells and acknowledges. So a group is
measured while the one before it is on its way to the disk.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from edged.admission import (
    CancelOrder,
    Heard,
    Refused,
    Sender,
    Submission,
    admit,
    candidate_of,
    check_grant,
    read,
)
from edged.all_of import all_of
from edged.answers import Answers
from edged.contract import Inbound, Outbound
from edged.diary import Diary
from edged.dispatch import Dispatch
from edged.engine.client import EngineClient
from edged.engine.frames import Measured
from edged.engine.protocol import MEASURE_S_MAX, TRIM_S_MAX
from edged.entry import Entry
from edged.errors import BrokerGone, Refusal
from edged.mqtt import Delivery, Session
from edged.orders.kept import Mode
from edged.site import Site
from edged.spool.queue import Spool
from edged.spool.rows import Answered, Candidate, Conflict, Fresh, Full, Known, Row, Verdict
from edged.trim import Trim, is_trimmable, trim_of

log = logging.getLogger(__name__)

DRAINING = Refusal(
    "draining", "this board is being taken out of service; ask another one, or send it again later"
)
ENGINE_DOWN_RETRY_S = 60.0
FULL_RETRY_S = 30.0
# Somebody must switch something off, or raise the budget.
OVER_BUDGET_RETRY_S = 300.0


@dataclass(frozen=True, slots=True)
class _Judged:
    """Deliveries that were read and measured: what each asks for, candidates, the refused."""

    deliveries: Sequence[Delivery]
    heard: Sequence[tuple[Delivery, Heard]]
    admitted: Sequence[tuple[Delivery, Candidate]]
    refused: Sequence[tuple[Delivery, Refused]]


@dataclass(frozen=True, slots=True)
class _Found:
    """A prompt and what the spool says of it."""

    delivery: Delivery
    candidate: Candidate
    verdict: Verdict

    @property
    def row_to_accept(self) -> Row | None:
        """Return the row to call accepted, if the device asked to be told."""
        is_told = self.candidate.receipt or self.candidate.stream
        verdict = self.verdict
        return verdict.row if is_told and isinstance(verdict, Fresh | Known) else None


@dataclass(frozen=True, slots=True)
class _Group:
    """Deliveries whose prompts are durable or refused, on their way to the PUBACK; none of QoS 0.

    Attributes:
        first: what the broker must have before the PUBACKs: refusals and repeated outcomes.
        accepted: rows whose devices asked to be told.
    """

    deliveries: Sequence[Delivery]
    first: Sequence[Outbound]
    accepted: Sequence[Row]


class Intake:
    """Takes deliveries until it is cancelled; `ears` hear each of them first."""

    def __init__(
        self,
        session: Session,
        spool: Spool,
        engine: EngineClient,
        dispatch: Dispatch,
        site: Site,
        answers: Answers,
        diary: Diary,
        ears: Sequence[Callable[[Inbound], None]] = (),
    ) -> None:
        self._ears = ears
        self._session = session
        self._spool = spool
        self._engine = engine
        self._dispatch = dispatch
        self._site = site
        self._answers = answers
        self._diary = diary
        self._entry = Entry(spool, dispatch.line, dispatch.quotas)
        self._serials = itertools.count(1)
        # More would only be measured sooner than it can be stored.
        self._read: asyncio.Queue[_Judged] = asyncio.Queue(1)
        # Never longer than the broker's window of unacknowledged prompts: those of QoS 0 are not
        # in it.
        self._taken: asyncio.Queue[_Group] = asyncio.Queue()
        self.unanswerable = 0

    def offer(self, site: Site) -> None:
        """Take prompts for this from now on."""
        self._site = site

    async def run(self) -> None:
        """Take groups of deliveries and acknowledge them, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_groups(), name="read")
            tasks.create_task(self._take_groups(), name="take")
            tasks.create_task(self._acknowledge_groups(), name="acknowledge")

    async def _read_groups(self) -> None:
        while True:
            group = await self._session.deliveries()
            for item in group:
                for hear in self._ears:  # what comes of it is told apart: no PUBACK waits
                    hear(item.inbound)
            heard = [(item, read(item.inbound, self._site, self._fresh_id())) for item in group]
            admitted, refused = await self._admitted(heard)
            await self._read.put(_Judged(group, heard, admitted, refused))

    async def _take_groups(self) -> None:
        """Make groups durable. This waits for no PUBACK: while it stands, none would be read."""
        while True:
            group = await self._take(await self._read.get())
            if group.deliveries:
                self._taken.put_nowait(group)
            # Not when they are acknowledged: over a link that went silent that takes a minute.
            self._dispatch.wake()

    async def _acknowledge_groups(self) -> None:
        while True:
            group = await self._taken.get()
            try:
                await self._acknowledge(group)
            except BrokerGone:
                log.info("connection lost before %d PUBACKs", len(group.deliveries))

    async def _acknowledge(self, group: _Group) -> None:
        if not await self._session.serves(group.deliveries[-1].connection):
            raise BrokerGone("the connection that brought these prompts has ended")
        await all_of(*(self._session.publish(item) for item in group.first))
        self._session.acknowledge(group.deliveries)
        await all_of(*(self._session.publish(told) for told in self._accepted(group.accepted)))

    async def _take(self, judged: _Judged) -> _Group:
        found, over = await self._accept(judged.admitted)
        copies, refused = await self._recall([*judged.refused, *over])
        for one in found:
            if isinstance(one.verdict, Fresh):
                self._took(one.candidate, one.verdict)
        told = [(item, self._refusal(refusal)) for item, refusal in refused]
        told += [(one.delivery, self._told(one)) for one in (*found, *copies)]
        cancels = [(item, order) for item, order in judged.heard if isinstance(order, CancelOrder)]
        answers = await self._cancelled([order for _, order in cancels])
        told += [(item, answer) for (item, _), answer in zip(cancels, answers, strict=True)]
        rows = [(one.delivery, one.row_to_accept) for one in (*found, *copies)]
        accepted = [(item, row) for item, row in rows if row is not None]
        said = [(item, message) for item, message in told if message is not None]
        self._tell_unacknowledged(said, accepted)
        return _Group(
            [item for item in judged.deliveries if item.qos],
            [message for item, message in said if item.qos],
            [row for item, row in accepted if item.qos],
        )

    def _tell_unacknowledged(
        self,
        said: Sequence[tuple[Delivery, Outbound]],
        accepted: Sequence[tuple[Delivery, Row]],
    ) -> None:
        """Answer what came at QoS 0 in the same way: the broker holds none of it back for us."""
        told = self._accepted([row for item, row in accepted if not item.qos])
        for message in (*(message for item, message in said if not item.qos), *told):
            self._session.publish_unacknowledged(message)

    async def _accept(
        self, admitted: Sequence[tuple[Delivery, Candidate]]
    ) -> tuple[list[_Found], list[tuple[Delivery, Refused]]]:
        """Return those that come before the spool with its verdicts, and the rest."""
        if self._dispatch.mode is Mode.DRAINING:
            return [], [
                (item, Refused(_sender(candidate), DRAINING, candidate))
                for item, candidate in admitted
            ]
        sequences = self._dispatch.grant.sequences
        judged = await self._entry.judge([candidate for _, candidate in admitted], sequences)
        within, over = [], []
        for (item, candidate), found in zip(admitted, judged, strict=True):
            if isinstance(found, Refusal):
                over.append((item, Refused(_sender(candidate), found)))
            else:
                within.append((item, found))
        verdicts = await self._spool.accept([charged.candidate for _, charged in within])
        self._entry.settle([charged for _, charged in within], verdicts)
        return [
            _Found(item, charged.candidate, verdict)
            for (item, charged), verdict in zip(within, verdicts, strict=True)
        ], over

    async def _recall(
        self, refused: Sequence[tuple[Delivery, Refused]]
    ) -> tuple[list[_Found], list[tuple[Delivery, Refused]]]:
        """Return the copies of known prompts, whatever became of the board since, and the rest."""
        prompts = [one.prompt for _, one in refused if one.prompt is not None]
        verdicts = iter(await self._spool.recall(prompts))
        found, rest = [], []
        for item, one in refused:
            verdict = None if one.prompt is None else next(verdicts)
            if one.prompt is None or verdict is None:
                rest.append((item, one))
            else:
                found.append(_Found(item, one.prompt, verdict))
        return found, rest

    async def _cancelled(self, orders: Sequence[CancelOrder]) -> list[Outbound | None]:
        """Cancel prompts; return what is to be said of each now, None where its outcome says it."""
        rows = [self._spool.rows.find(order.client, order.id) for order in orders]
        await self._dispatch.cancel([row for row in rows if row is not None])
        return [
            await self._too_late(order) if row is None else None
            for order, row in zip(orders, rows, strict=True)
        ]

    async def _too_late(self, order: CancelOrder) -> Outbound:
        """Return what a prompt became, once more; a refusal of one that nobody knows."""
        letter = await self._spool.settled(order.client, order.id)
        if letter is not None:
            return self._answers.letter(letter, self._site.outcome_ttl_s)
        refusal = Refusal("unknown_id", f"cancel: this client has no prompt {order.id}")
        return self._answers.refused(order.id, order.destination, refusal)

    async def _admitted(
        self, heard: Sequence[tuple[Delivery, Heard]]
    ) -> tuple[list[tuple[Delivery, Candidate]], list[tuple[Delivery, Refused]]]:
        """Return the candidates and the refused, each in arrival order."""
        submitted = [(item, message) for item, message in heard if isinstance(message, Submission)]
        refused = [(item, message) for item, message in heard if isinstance(message, Refused)]
        candidates: list[tuple[Delivery, Candidate]] = []
        judged = await self._judged([message for _, message in submitted])
        for (item, _), judgement in zip(submitted, judged, strict=True):
            if isinstance(judgement, Refused):
                refused.append((item, judgement))
            else:
                candidates.append((item, judgement))
        return candidates, refused

    async def _judged(self, submissions: Sequence[Submission]) -> list[Candidate | Refused]:
        """Return whether prompts are taken, trimmed where one is too long and asks for that.

        All are measured together, then the trials of those together that are to be trimmed.
        """
        clock = asyncio.get_running_loop().time
        wait_s = TRIM_S_MAX if any(map(is_trimmable, submissions)) else MEASURE_S_MAX
        until_s = clock() + wait_s
        counts = await self._measured(submissions, wait_s)
        found = list(map(self._judgement, submissions, counts))
        while (left_s := until_s - clock()) > 0 and (trying := _trials(found)):
            counts = await self._measured([trial for _, _, trial in trying], left_s)
            for (place, trim, trial), measured in zip(trying, counts, strict=True):
                found[place] = self._tried(trim, trial, measured)
        return [one.found if isinstance(one, Trim) else one for one in found]

    async def _measured(
        self, submissions: Sequence[Submission], wait_s: float
    ) -> list[Measured | None]:
        asks = [(one.job.prompt, one.job.schema, one.job.wire) for one in submissions]
        return await self._engine.measure(asks, wait_s)

    def _judgement(
        self, submission: Submission, measured: Measured | None
    ) -> Candidate | Refused | Trim:
        """Return what becomes of a prompt: it is taken, refused, or to be trimmed."""
        try:
            return self._candidate(submission, measured)
        except Refusal as refusal:
            tokens = 0 if measured is None else measured.prompt_tokens
            trim = trim_of(submission, refusal, tokens)
            return trim or Refused(
                submission.sender, refusal, candidate_of(submission, submission.job)
            )

    def _tried(self, trim: Trim, trial: Submission, measured: Measured | None) -> Trim:
        if measured is None:
            return trim  # the time is up
        try:
            return trim.passed(self._candidate(trial, measured), measured.prompt_tokens)
        except Refusal:
            return trim.failed()

    def _candidate(self, submission: Submission, measured: Measured | None) -> Candidate:
        engine = self._engine.state
        if engine.phase == "broken":
            raise Refusal("engine_down", engine.problem, ENGINE_DOWN_RETRY_S)
        hopeless = self._dispatch.grants.hopeless
        if hopeless is not None:
            raise Refusal("over_budget", hopeless, OVER_BUDGET_RETRY_S)
        candidate = admit(submission, measured, self._dispatch.context_tokens_max)
        job, ahead = candidate.job, len(self._spool.rows)
        granted = self._dispatch.grants.granted(job, candidate.ttl_s, ahead)
        check_grant(job, granted, submission.request.on_long)
        return candidate

    def _took(self, candidate: Candidate, fresh: Fresh) -> None:
        template = candidate.job.template
        self._diary.accepted(fresh.row, None if template is None else template[0])
        self._dispatch.superseded(fresh.superseded)

    def _told(self, found: _Found) -> Outbound | None:
        """Return what must be said before the PUBACK; None for a prompt that is taken."""
        candidate = found.candidate
        match found.verdict:
            case Fresh() | Known():
                return None
            case Answered(letter=letter):
                return self._answers.letter(letter, self._site.outcome_ttl_s)
            case Conflict(id):
                detail = f"id {id} belongs to another prompt of this client"
                refusal = Refusal("id_conflict", detail)
            case Full(reason, detail):
                relief_s = self._dispatch.relief_s()
                retry_s = FULL_RETRY_S if relief_s is None else math.ceil(relief_s)
                refusal = Refusal(reason, detail, retry_s)
            case _:
                assert_never(found.verdict)
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


def _trials(found: Sequence[object]) -> list[tuple[int, Trim, Submission]]:
    """Return what is to be tried next of each search that is under way."""
    trims = [(place, one) for place, one in enumerate(found) if isinstance(one, Trim)]
    trials = [(place, trim, trim.trial) for place, trim in trims]
    return [(place, trim, trial) for place, trim, trial in trials if trial is not None]


def _sender(candidate: Candidate) -> Sender:
    return Sender(candidate.client, candidate.id, candidate.destination, is_on_default_topic=False)
