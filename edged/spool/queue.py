"""The durable queue: one SQLite table, one row per prompt, from acceptance to retention.

In:  candidates from admission, settlements from dispatch, PUBACKs from the outbox.
Out: verdicts, unfinished rows to the scheduler, letters to the outbox.
Every public coroutine is one transaction, fsynced when it returns; those that wait together share
one. Not so `delivered`, and `start`
without a streamed prompt, whose chunks number its starts: a power cut that takes them back has an
outcome told, or a prompt run, once more.
`file` runs it in a thread and deals with the disk; `rows` mirrors the unfinished rows for the
event loop.
Does not know: MQTT, tokens, watts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edged import config
from edged.clock import BoardClock, MachineClock, SpoolClock
from edged.errors import SpoolUnwritable
from edged.spool.disk import Sync
from edged.spool.file import Pace, SpoolFile
from edged.spool.rows import (
    Candidate,
    Fresh,
    Full,
    Job,
    Known,
    Letter,
    Row,
    Settlement,
    State,
    Verdict,
)
from edged.spool.table import Table
from edged.spool.unfinished import Unfinished

log = logging.getLogger(__name__)

PACE = Pace()


class Spool:
    """Holds every accepted prompt until its outcome is delivered and its retention is over.

    Args:
        directory: the state directory.
        limits: `[spool]` of the configuration.
        supersede: makes the outcome of a row whose place another one takes.
        pace: of disk care.
        machine: reads the clocks, from `open` on.
    """

    def __init__(
        self,
        directory: Path,
        limits: config.Spool,
        supersede: Callable[[Row], Settlement],
        pace: Pace = PACE,
        machine: Callable[[], MachineClock] = BoardClock,
    ) -> None:
        self._file = SpoolFile(directory, limits.bytes_max, pace, machine)
        self._limits = limits
        self._supersede = supersede
        self._rows = Unfinished()
        self._has_told_dropped = False

    async def open(self) -> None:
        """Open and recover: what ran when the daemon ended is queued again.

        Waits while the disk is full. What cannot be read of a damaged spool is set aside.

        Raises:
            ConfigError: the directory cannot be written, or the spool is not ours to read.
        """
        rows = await self._file.open(_recovered)
        self.clock, self.boot = self._file.clock, self._file.boot
        self._rows = Unfinished(rows)
        self.note = self._file.note

    async def close(self) -> None:
        """Checkpoint and close."""
        await self._file.close()

    async def keep_tending(self) -> None:
        """Take care of the disk, for ever: retention, vacuum, checkpoints, the reserve."""
        await self._file.keep_tending(self._limits.retention_s)

    async def tend(self) -> None:
        """Take care of the disk now."""
        await self._file.tend(self._limits.retention_s)

    @property
    def problem(self) -> str:
        """Return why the spool cannot be written as it should; empty when it can."""
        return self._file.problem

    @property
    def set_aside(self) -> Sequence[str]:
        """Return the names of damaged files in the state directory, as the spool was opened."""
        return self._file.set_aside

    @property
    def changed(self) -> asyncio.Event:
        """Return the event that is set when `problem` changed."""
        return self._file.changed

    async def in_trouble(self) -> None:
        """Wait until there is a `problem`; return at once while there is one."""
        await self._file.in_trouble()

    @property
    def rows(self) -> Unfinished:
        """Return the rows without an outcome; only the spool changes them."""
        return self._rows

    async def accept(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """Commit a group of prompts; return a verdict for each, in their order."""
        if not candidates:
            return []
        now_s = self.clock.now_s()
        # What is settled meanwhile only makes room.
        unfinished = len(self._rows)
        try:
            verdicts: list[Verdict] = await self._file.write_new(
                lambda table: table.accept(
                    candidates, now_s, self._limits, unfinished, self._supersede
                )
            )
        except SpoolUnwritable as trouble:
            return [Full("spool_full", str(trouble))] * len(candidates)
        for verdict in verdicts:
            self._mirror(verdict)
        self._tell_dropped()
        return verdicts

    async def recall(self, candidates: Sequence[Candidate]) -> list[Verdict | None]:
        """Return verdicts on prompts that would not be taken: None of those that are not here.

        Where none is here nothing is written.
        """
        are_known = await self.knows(candidates) if candidates else []
        if not any(are_known):
            return [None] * len(candidates)
        try:
            verdicts = await self._file.write_new(
                lambda table: [table.recall(one) for one in candidates]
            )
        except SpoolUnwritable as trouble:
            full = Full("spool_full", str(trouble))
            return [full if is_known else None for is_known in are_known]
        for verdict in verdicts:
            self._mirror(verdict)
        return verdicts

    async def knows(self, candidates: Sequence[Candidate]) -> list[bool]:
        """Return of each prompt whether its id is here, or it is the broker's own repetition."""
        return await self._file.read(lambda table: [table.knows(one) for one in candidates])

    async def start(self, serials: Sequence[int]) -> dict[int, Job]:
        """Mark rows as running; return the jobs of those whose text can be read."""
        rows = filter(None, map(self._rows.get, serials))
        sync = Sync.NOW if any(row.stream for row in rows) else Sync.LATER
        jobs = await self._file.write(lambda table: table.start(serials), sync)
        self._set(serials, lambda row: replace(row, state=State.RUNNING))
        return jobs

    async def requeue(self, serials: Iterable[int], *, engine_died: bool) -> None:
        """Queue running rows again; count an attempt if the engine died with them."""
        serials = list(serials)
        blame = int(engine_died)
        await self._file.write(lambda table: table.requeue(serials, blame))
        self._set(
            serials,
            lambda row: replace(row, state=State.QUEUED, attempts=row.attempts + blame),
        )

    async def settle(
        self, settlements: Mapping[int, Settlement], note: str | None = None
    ) -> list[tuple[Row, Letter]]:
        """Write outcomes with a note on them and erase the prompts' texts, in one transaction.

        Returns:
            The rows that had no outcome before, each with its letter: the first one of a row stays.
        """
        now_s = self.clock.now_s()

        def work(table: Table) -> list[Letter]:
            table.settle(settlements, now_s)
            if note is not None:
                table.keep_note(note)
            return table.letters_of(settlements)

        letters = await self._file.write(work)
        ended = ((self._rows.drop(letter.serial), letter) for letter in letters)
        return [(row, letter) for row, letter in ended if row is not None]

    async def keep_note(self, note: str) -> None:
        """Write a note without an outcome, unless the disk will not; the next open has it."""
        await self._file.write_if_able(lambda table: table.keep_note(note))

    async def letters(self, after: int, at_most: int) -> list[Letter]:
        """Return settled rows that are not delivered, with serials over `after`, oldest first."""
        return await self._file.read(lambda table: table.letters(after, at_most))

    async def delivered(self, claimed: Mapping[int, bool]) -> None:
        """Mark outcomes as acknowledged by the broker; `claimed` False: nobody subscribed."""
        await self._file.write(lambda table: table.delivered(claimed), Sync.LATER)

    async def settled(self, client: str, id: str) -> Letter | None:
        """Return the outcome of (client, id), while it is kept."""
        return await self._file.read(lambda table: table.letter(client, id))

    def _tell_dropped(self) -> None:
        """Say once that outcomes are kept for less time than is configured."""
        if self._file.dropped and not self._has_told_dropped:
            self._has_told_dropped = True
            log.warning("spool.bytes_max: the oldest outcomes go before spool.retention_s is over")

    def _mirror(self, verdict: Verdict | None) -> None:
        match verdict:
            case Fresh(row, superseded):
                for old in superseded:
                    self._rows.drop(old.serial)
                self._rows.put(row)
            case Known(row):
                self._set([row.serial], lambda old: replace(old, destination=row.destination))

    def _set(self, serials: Iterable[int], change: Callable[[Row], Row]) -> None:
        for serial in serials:
            if serial in self._rows:
                self._rows.put(change(self._rows[serial]))


def _recovered(table: Table, clock: SpoolClock) -> list[Row]:
    table.recover(deadlines_certain=clock.certain)
    return table.unfinished()
