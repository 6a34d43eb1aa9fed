"""Runs the rows: starts what the scheduler picks, follows the engine, settles what ended.

In:  rows of the spool, events of the engine client, cancels.     Out: work to the engine, chunks to
mqtt, settlements to the spool; the outbox is woken.
Nothing polls: it wakes on new rows, engine events, deadlines, and while prompts run to renew the
engine's lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from edged import config
from edged.answers import Answers, Run
from edged.batch import Running, is_id, together
from edged.clock import SpoolClock, sleep_s
from edged.diary import Diary
from edged.ends import End, Ends
from edged.engine.client import EngineClient, Lost
from edged.engine.frames import Cancel, Delta, Limits, Outcome, Ready, Step
from edged.first_of import first_of
from edged.grants import Grants
from edged.journal import Event, about
from edged.lease import until_next_look
from edged.line import Line, Outlook
from edged.mqtt import Session
from edged.orders.kept import Mode
from edged.outbox import Outbox
from edged.power.account import Moment, as_note
from edged.power.governor import Governor, Grant
from edged.power.grant import Granted
from edged.quota import Quotas, Use
from edged.scheduler import URGENT_OVER, Room
from edged.spool.queue import Spool
from edged.spool.rows import Job, Row, Settlement, State, work_of

log = logging.getLogger(__name__)

# The joules of a long answer are kept this often; else with each outcome.
NOTE_S = 60.0


class Dispatch:
    """The one place that moves rows between queued, running and settled.

    Attributes:
        is_held: whether nothing starts, since the model is being changed.
        strays: told outcomes of what others than rows asked.
    """

    def __init__(
        self,
        config: config.Config,
        spool: Spool,
        engine: EngineClient,
        session: Session,
        outbox: Outbox,
        answers: Answers,
        diary: Diary,
        power: Governor,
    ) -> None:
        self._config = config
        self._spool = spool
        self._engine = engine
        self._session = session
        self._outbox = outbox
        self._answers = answers
        self._diary = diary
        self._power = power
        self.grants = Grants(config.model, engine, power)
        self._running: dict[int, Running] = {}
        engine.is_id = is_id
        self._life = engine.life  # one more with each lost engine whose batch was seen to
        # Their outcomes are on the way to the disk: nothing of them starts any more.
        self._ending: set[int] = set()
        self._ends = Ends(self._settle_unstarted)
        self._woken = asyncio.Event()
        self._deadlines_changed = asyncio.Event()
        self._busy = asyncio.Event()
        self.line = Line(spool, self.grants)
        self.quotas = Quotas(config.quota_of, spool.clock.now_s)
        self._noted_s = spool.clock.now_s()
        self.mode = Mode.SERVING
        self.is_held = False
        self.strays: Callable[[Outcome], None] = lambda outcome: None
        self.news = asyncio.Event()

    async def run(self) -> None:
        """Start, follow and settle until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._start(), name="start")
            tasks.create_task(self._expire(), name="expire")
            tasks.create_task(self._follow(), name="follow")
            tasks.create_task(self._renew(), name="renew")
            tasks.create_task(self._keep_notes(), name="notes")
            tasks.create_task(self._ends.run(), name="ends")

    def wake(self) -> None:
        """Rows came or went: look again what to start."""
        self._woken.set()
        self._deadlines_changed.set()
        self.news.set()

    def serve(self, mode: Mode) -> None:
        """Take and start prompts like this from now on; what runs goes on."""
        self.mode = mode
        self.wake()

    def superseded(self, rows: Iterable[Row]) -> None:
        """The spool settled rows as `superseded` while it accepted a newer one."""
        for row in rows:
            self._ended(row, self._answers.superseded(row))
            self._outbox.wake()

    @property
    def grant(self) -> Grant:
        """Return the limits in force, for all that run together."""
        whole, now_s = self.grants.whole, self._spool.clock.now_s()
        return replace(whole, sequences=together(self._running.values(), whole.sequences, now_s))

    @property
    def context_tokens_max(self) -> int:
        """Return the most one sequence can ever hold."""
        return self.grants.whole.context_tokens

    def relief_s(self) -> float | None:
        """Return in how many seconds a place becomes free; None where nobody knows."""
        return self.line.relief_s(self.grant.sequences)

    def outlooks(self, serials: Collection[int]) -> dict[int, Outlook]:
        """Return the place of each row in the queue, and when its answer is expected."""
        sequences = None if self.mode is Mode.PAUSED else self.grant.sequences
        return self.line.outlooks(serials, len(self._running), sequences)

    async def cancel(self, rows: Sequence[Row]) -> None:
        """Cancel prompts; on return the outcomes of those that waited are on the disk.

        Where it will not take them they wait in memory as others do: no PUBACK waits for a disk.
        """
        for row in rows:
            self._stop(row, "cancelled")
        if rows:
            written = self._ends.written([row.serial for row in rows])
            await first_of(written, self._spool.in_trouble())

    async def _start(self) -> None:
        while True:
            self._woken.clear()
            await self._start_picked()
            await self._woken.wait()

    async def _start_picked(self) -> None:
        room = Room(self.grants.whole.sequences if self._may_start() else 0)
        if not room.sequences or room.sequences + URGENT_OVER <= len(self._running):
            return
        found = self.line.next(room)
        if not found.serials:
            return
        life = self._engine.life
        jobs = await self._spool.start(found.serials)
        await self._fail_unreadable(set(found.serials) - set(jobs))
        if self._engine.life != life:  # it went away during the commit, and never saw them
            await self._spool.requeue(jobs, engine_died=False)
            self.wake()
            return
        self._send(jobs, found.granted, found.now_s)

    def _may_start(self) -> bool:
        """Return whether an engine is there, and what a lost one had was queued again."""
        is_ready = self._engine.state.phase == "ready" and self._engine.life == self._life
        return is_ready and self.mode is not Mode.PAUSED and not self.is_held

    def _send(self, jobs: Mapping[int, Job], grants: Mapping[int, Granted], now_s: float) -> None:
        """Hand started rows to the engine, behind the limits that hold for all of them."""
        works, begins_s = [], self._spool.clock.now_s()
        for serial, job in jobs.items():
            row, granted = self._spool.rows.get(serial), grants.get(serial)
            if row is None or self._is_stopping(serial) or row.deadline_s <= begins_s:
                continue  # cancelled, or expired, during the commit
            forecast_j = self.line.charge_j(row)
            running = self._running[serial] = Running(row, job, now_s, forecast_j)
            if granted is not None and granted.sequences:
                running.sequences, running.throttled = granted.sequences, granted.throttled
            works.append(work_of(row, job))
        self.send_limits()
        for work in works:
            self._engine.expect(work.id)
            self._engine.send(work)
        self._busy.set()

    async def _fail_unreadable(self, serials: Iterable[int]) -> None:
        """Give an outcome to rows whose text a disk lost; those that ended meanwhile have one."""
        detail = "the board's disk lost the text of this prompt; send it again under a new id"
        rows = [self._spool.rows[serial] for serial in serials if serial in self._spool.rows]
        await self._settle({row.serial: self._answers.failed(row, detail) for row in rows})

    async def _expire(self) -> None:
        """End what is overdue, also while a start waits for a full disk: it would go on else."""
        while True:
            self._deadlines_changed.clear()
            for row in self._spool.rows.overdue(self._spool.clock.now_s()):
                self._stop(row, "expired")
            try:
                async with asyncio.timeout(self._expires_in_s()):
                    await self._deadlines_changed.wait()
            except TimeoutError:
                self._woken.set()  # a suspect that is overdue kept the others waiting

    def _expires_in_s(self) -> float | None:
        rows, now_s = self._spool.rows.by_deadline(), self._spool.clock.now_s()
        going_on = (row for row in rows if not self._is_stopping(row.serial))
        return next((sleep_s(row.deadline_s - now_s) for row in going_on), None)

    def _is_stopping(self, serial: int) -> bool:
        """Return whether it is settled what a row ends as, unless the engine is done first."""
        running = self._running.get(serial)
        is_stopped = running is not None and running.stopped_as is not None
        return is_stopped or serial in self._ending or serial in self._ends

    def _stop(self, row: Row, event: str) -> None:
        """End a row as `expired` or `cancelled`; a running one ends when the engine says so."""
        if self._is_stopping(row.serial):
            return  # a second outcome may find the disk's room before the first
        running = self._running.get(row.serial)
        if running is None:
            self._ends.put(row, event)
        else:
            running.stopped_as = event
            self._engine.send(Cancel(str(row.serial)))

    async def _settle_unstarted(self, ends: Collection[End]) -> None:
        now_s = self._spool.clock.now_s()
        await self._settle(
            {end.row.serial: self._answers.unstarted(end.row, end.event, now_s) for end in ends}
        )

    async def _follow(self) -> None:
        while True:
            match await self._engine.events.get():
                case Ready() as ready:
                    fields = about(Event.MODEL_RESIDENT, model=ready.name, digest=ready.digest)
                    log.info("%s is resident after %.1f s", ready.name, ready.load_s, extra=fields)
                    if problem := self._answers.calibration.mismatch(ready.digest):
                        log.warning("%s", problem)
                case Step() as step:
                    await self._take_step(step)
                    if not step.outcomes:
                        continue  # no place became free
                case Lost(problem):
                    await self._requeue(problem)
                    self._life += 1
            self.wake()

    async def _take_step(self, step: Step) -> None:
        self._diary.stepped(step)
        self._charge(step)
        for delta in step.deltas:
            self._send_chunk(delta)
        settlements = {}
        for outcome in step.outcomes:
            running = self._running.pop(int(outcome.id), None)
            if running is None:
                self.strays(outcome)
            else:
                self._power.account.settle(running.joules)
                tokens = outcome.prompt_tokens + outcome.output_tokens
                self.quotas.ended(running.row.serial, Use(tokens, running.joules))
                self.line.correct(running.row, running.forecast_j, running.joules)
                settlements[running.row.serial] = self._settlement(running, outcome)
        await self._settle(settlements)

    def _charge(self, step: Step) -> None:
        """Share the step's joules among the rows that it served; the rest is nobody's."""
        step_j, answers_j = self._power.step_j(step), 0.0
        for id, share in step.shares.items():
            running = self._running.get(int(id))
            if running is not None:
                running.joules += share * step_j
                running.throttled = running.throttled or self._power.throttled
                answers_j += share * step_j
        self._power.account.charge(answers_j, step_j - answers_j)

    def _send_chunk(self, delta: Delta) -> None:
        running = self._running.get(int(delta.id))
        if running is None or not running.row.stream or not delta.text:
            return
        now_s = self._spool.clock.now_s()
        chunk = self._answers.chunk(running.row, running.chunks, delta.text, now_s)
        running.chunks += 1
        self._session.publish_unacknowledged(chunk)

    def _settlement(self, running: Running, outcome: Outcome) -> Settlement:
        ready = self._engine.state.ready
        assert ready is not None, "an outcome comes from an engine that was ready"
        run = Run(
            row=running.row,
            job=running.job,
            queued_s=max(0.0, running.started_s - running.row.accepted_s),
            estimated_s=self.line.told_s(running.row.serial),
            joules=running.joules,
            source=self._power.origin,
            is_settled=self._power.is_settled,
            throttled=running.throttled,
            model=(ready.name, ready.digest),
        )
        if outcome.finish in ("stop", "schema", "length"):
            self.line.learn(running.row, running.joules, outcome.total_s)
        return self._answers.outcome(run, outcome, running.stopped_as)

    async def _settle(self, settlements: Mapping[int, Settlement]) -> None:
        if not settlements:
            return
        self._ending |= settlements.keys()
        ended = await self._spool.settle(settlements, self._note())
        for row, letter in ended:
            self._ended(row, letter.settlement)
        self._ending -= settlements.keys()
        self.news.set()
        self._outbox.post([letter for _, letter in ended])

    def _ended(self, row: Row, settlement: Settlement) -> None:
        self.quotas.ended(row.serial)
        self.line.ended(row.serial)
        self._diary.ended(row, settlement)

    def _note(self) -> str:
        """Return the books of the joules as of now, for the spool."""
        self._power.count()
        self._noted_s = self._spool.clock.now_s()
        return as_note(self._power.account.joules, moment(self._spool.clock))

    async def keep_note(self) -> None:
        """Have the spool keep the books: a crash loses what was counted since."""
        await self._spool.keep_note(self._note())

    async def _requeue(self, problem: str) -> None:
        """The engine died: queue its batch again, or give up on what it died with too often."""
        serials = list(self._running)
        for running in self._running.values():
            self._power.account.waste(running.joules)
            self.line.correct(running.row, running.forecast_j, running.joules)
            if running.stopped_as is not None:  # the engine did not live to say so
                self._ends.put(running.row, running.stopped_as)
        self._running.clear()
        if not serials:
            return
        log.warning("engine lost with %d prompts in the batch: %s", len(serials), problem)
        await self._spool.requeue(serials, engine_died=True)
        for row in (self._spool.rows.get(serial) for serial in serials):
            if row is not None:
                self._diary.requeued(row, problem)
        limit = self._config.spool.attempts_max
        detail = f"the engine ended {limit} times with this prompt in its batch: {problem}"
        hopeless = {
            row.serial: self._answers.failed(row, detail)
            for row in self._spool.rows.values()
            if row.attempts >= limit and row.state is State.QUEUED and row.serial not in self._ends
        }
        await self._settle(hopeless)

    async def _renew(self) -> None:
        """While prompts run, keep the lease alive and watch for a hang."""
        while True:
            if not self._running:
                self._busy.clear()
                await self._busy.wait()
            self.send_limits()
            self._engine.end_hung()
            await until_next_look(self._engine, self._config.engine.lease_s)

    async def _keep_notes(self) -> None:
        """While prompts run, have their joules kept: this waits for the disk, and no lease does."""
        while True:
            await self._busy.wait()
            await asyncio.sleep(sleep_s(self._noted_s + NOTE_S - self._spool.clock.now_s()))
            if self._spool.clock.now_s() >= self._noted_s + NOTE_S:
                await self.keep_note()

    def send_limits(self) -> None:
        """Tell the engine the limits in force, which renews its lease."""
        allowed = self.grant
        self._engine.send(
            Limits(
                context_tokens=allowed.context_tokens,
                sequences=allowed.sequences,
                lease_s=self._config.engine.lease_s,
                chunk_tokens=allowed.chunk_tokens,
                is_paced=allowed.is_paced,
            )
        )


def moment(clock: SpoolClock) -> Moment:
    """Return when it is now, as a note of the joules says it."""
    record = clock.record()
    return Moment(record.instant.boot_id, record.spool_s)
