"""The durable queue: one SQLite table, one row per prompt, from acceptance to retention.

In:  candidates from admission, settlements from dispatch, PUBACKs from the outbox.
Out: verdicts, unfinished rows to the scheduler, letters to the outbox.
Every public coroutine is one transaction, fsynced when it returns (WAL, synchronous=FULL). SQLite
runs in one worker thread; `rows` mirrors the unfinished ones for the event loop.
Does not know: MQTT, tokens, watts.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from edged import config
from edged.clock import BoardClock, SpoolClock
from edged.errors import ConfigError
from edged.rows import Candidate, Fresh, Full, Job, Known, Letter, Row, Settlement, State, Verdict
from edged.spool_table import Table

T = TypeVar("T")


class Spool:
    """Holds every accepted prompt until its outcome is delivered and its retention is over.

    Args:
        directory: the state directory.
        limits: `[spool]` of the configuration.
        supersede: makes the outcome of a row whose place another one takes.
    """

    def __init__(
        self, directory: Path, limits: config.Spool, supersede: Callable[[Row], Settlement]
    ) -> None:
        self._thread = ThreadPoolExecutor(1, "spool")
        self._limits = limits
        self._supersede = supersede
        self._directory = directory
        self._rows: dict[int, Row] = {}

    async def open(self) -> None:
        """Open and recover: what ran when the daemon ended is queued again.

        Raises:
            ConfigError: the directory cannot be written, or the spool is not ours to read.
        """
        try:
            self._table = await self._call(lambda: Table(self._directory / "spool.db"))
            self.clock = SpoolClock(BoardClock(), self._table.clock_record)
            rows = await self._write(self._recover)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"{self._directory}: the spool cannot be opened: {error}; the state directory must "
                "be writable by edged's user and hold no foreign spool.db"
            ) from error
        self._rows = {row.serial: row for row in rows}
        self.boot = self._table.boot
        self.note = self._table.note

    async def close(self) -> None:
        """Checkpoint and close."""
        await self._call(self._table.close)
        self._thread.shutdown()

    @property
    def rows(self) -> Mapping[int, Row]:
        """Return the rows without an outcome, by serial."""
        return MappingProxyType(self._rows)

    async def accept(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """Commit a group of prompts; return a verdict for each, in their order."""
        if not candidates:
            return []
        now_s = self.clock.now_s()
        try:
            verdicts: list[Verdict] = await self._write(
                lambda table: table.accept(candidates, now_s, self._limits, self._supersede)
            )
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            return [Full("spool_full", f"{self._directory}: no space left")] * len(candidates)
        for verdict in verdicts:
            self._mirror(verdict)
        return verdicts

    async def start(self, serials: Sequence[int]) -> dict[int, Job]:
        """Mark rows as running; return their jobs."""
        jobs = await self._write(lambda table: table.start(serials))
        self._set(serials, lambda row: replace(row, state=State.RUNNING))
        return jobs

    async def requeue(self, serials: Iterable[int], *, engine_died: bool) -> None:
        """Queue running rows again; count an attempt if the engine died with them."""
        serials = list(serials)
        blame = int(engine_died)
        await self._write(lambda table: table.requeue(serials, blame))
        self._set(
            serials,
            lambda row: replace(row, state=State.QUEUED, attempts=row.attempts + blame),
        )

    async def settle(self, settlements: Mapping[int, Settlement], note: str | None = None) -> None:
        """Write outcomes with a note on them and erase the prompts' texts, in one transaction."""
        now_s = self.clock.now_s()

        def work(table: Table) -> None:
            table.settle(settlements, now_s)
            if note is not None:
                table.keep_note(note)

        await self._write(work)
        for serial in settlements:
            self._rows.pop(serial, None)

    async def keep_note(self, note: str) -> None:
        """Write a note without an outcome; `note` of the next open has it."""
        await self._write(lambda table: table.keep_note(note))

    async def letters(self, after: int, at_most: int) -> list[Letter]:
        """Return settled rows that are not delivered, with serials over `after`, oldest first."""
        return await self._call(lambda: self._table.letters(after, at_most))

    async def delivered(self, claimed: Mapping[int, bool]) -> None:
        """Mark outcomes as acknowledged by the broker; `claimed` False: nobody subscribed."""
        now_s = self.clock.now_s()
        before_s = now_s - self._limits.retention_s

        def work(table: Table) -> None:
            table.delivered(claimed)
            table.purge(before_s, now_s)

        await self._write(work)

    def find(self, client: str, id: str) -> Row | None:
        """Return the unfinished row of (client, id)."""
        return next(
            (row for row in self._rows.values() if row.client == client and row.id == id), None
        )

    async def settled(self, client: str, id: str) -> Letter | None:
        """Return the outcome of (client, id), while it is kept."""
        return await self._call(lambda: self._table.letter(client, id))

    def _recover(self, table: Table) -> list[Row]:
        table.recover(deadlines_certain=self.clock.certain)
        now_s = self.clock.now_s()
        table.purge(now_s - self._limits.retention_s, now_s)
        return table.unfinished()

    def _mirror(self, verdict: Verdict) -> None:
        match verdict:
            case Fresh(row, superseded):
                for serial in superseded:
                    self._rows.pop(serial, None)
                self._rows[row.serial] = row
            case Known(row):
                self._set([row.serial], lambda old: replace(old, destination=row.destination))

    def _set(self, serials: Iterable[int], change: Callable[[Row], Row]) -> None:
        for serial in serials:
            if serial in self._rows:
                self._rows[serial] = change(self._rows[serial])

    async def _write(self, work: Callable[[Table], T]) -> T:
        """Run `work` as one transaction and return once it is durable."""
        return await self._call(lambda: self._table.transact(work, self.clock.record()))

    async def _call(self, work: Callable[[], T]) -> T:
        # Shielded: a transaction that has begun is never abandoned half-way.
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        return await asyncio.shield(future)
