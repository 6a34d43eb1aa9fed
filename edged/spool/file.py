"""The spool's file under care: one thread for SQLite, and what to do when the disk will not.

In:  work on the table.     Out: its result, once it is durable. Works that wait share a commit.
Work on what was accepted is tried until it succeeds: outcomes first get the reserve, then wait for
space. New prompts are tried once. Care (retention, vacuum, emptying the log) is taken a minute
after something was written; an idle spool has no timer.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edged.clock import BoardClock, MachineClock, SpoolClock
from edged.errors import ConfigError, SpoolDamaged, SpoolUnwritable
from edged.first_of import first_of
from edged.spool.commits import Commits, seen_through
from edged.spool.disk import Fault, Reserve, Sync, fault_of, reserve_of
from edged.spool.salvage import set_aside
from edged.spool.table import Table

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon care is taken, s.

    Attributes:
        tend_s: after something was written; so long a text may stay in SQLite's log.
        retry_s: while the disk will not.
    """

    tend_s: float = 60.0
    retry_s: float = 5.0


class SpoolFile:
    """The open spool of a state directory.

    Attributes:
        problem: why the spool cannot be written as it should; empty when it can.
        changed: set when `problem` changed.
        set_aside: names of damaged files that somebody should look at.
    """

    def __init__(
        self,
        directory: Path,
        bytes_max: int,
        pace: Pace,
        machine: Callable[[], MachineClock] = BoardClock,
    ) -> None:
        self._machine = machine
        self._thread = ThreadPoolExecutor(1, "spool")
        self._commits = Commits(self._transacted)
        self._directory = directory
        self._reserve: Reserve = reserve_of(directory, bytes_max)
        self._pace = pace
        self._written, self._troubled = asyncio.Event(), asyncio.Event()
        self.problem = ""
        self.changed = asyncio.Event()
        self.set_aside: list[str] = []

    async def open(self, recover: Callable[[Table, SpoolClock], T]) -> T:
        """Open and recover, in a transaction of its own; wait while the disk is full.

        Raises:
            ConfigError: the directory cannot be written, or the spool is not ours to read.
        """
        while True:
            try:
                found = await self._call(lambda: self._opened(recover))
            except (OSError, sqlite3.Error, SpoolDamaged) as error:
                if isinstance(error, SpoolDamaged) or fault_of(error) is not Fault.FULL:
                    raise self._unusable(error) from error
                await self._make_room(f"{self._directory}: the spool cannot be opened: {error}")
            else:
                break
        await self._fill_reserve()
        self._written.set()
        return found

    async def close(self) -> None:
        """Fold the log into the file and close it; if the disk will not, the next start does."""
        await self._commits.finished()
        with suppress(SpoolUnwritable, SpoolDamaged):
            await self._tried(self._table.close)
        self._thread.shutdown()

    async def read(self, work: Callable[[Table], T]) -> T:
        """Return what `work` finds."""
        return await self._insist(lambda: self._tried(lambda: work(self._table)))

    async def write(self, work: Callable[[Table], T], sync: Sync = Sync.NOW) -> T:
        """Run `work` in a transaction; return once it is committed, however long that takes."""
        found = await self._insist(lambda: self._commits.commit(work, sync))
        self._written.set()
        return found

    async def write_if_able(self, work: Callable[[Table], None]) -> None:
        """Run `work` in a transaction; not at all while the disk will not."""
        with suppress(SpoolUnwritable):
            await self._commits.commit(work, Sync.NOW)

    async def write_new(self, work: Callable[[Table], T]) -> T:
        """Run `work` in a transaction, unless the disk will not now.

        Raises:
            SpoolUnwritable: with a sentence for the device; nothing was written.
        """
        if not self._reserve.is_whole:
            raise SpoolUnwritable(self.problem)
        try:
            found = await self._commits.commit(work, Sync.NOW)
        except SpoolUnwritable as trouble:
            self._tell(f"{trouble}; prompts are refused")
            raise
        self._written.set()
        return found

    @property
    def dropped(self) -> int:
        """Return how many outcomes went for want of space, before their retention was over."""
        return self._table.dropped

    async def in_trouble(self) -> None:
        """Wait until there is a `problem`."""
        await self._troubled.wait()

    async def keep_tending(self, retention_s: float) -> None:
        """Take care of the file, for ever: a while after each write, sooner if there is trouble."""
        while True:
            if self.problem:
                await asyncio.sleep(self._pace.retry_s)
            else:
                await first_of(self._written.wait(), self._troubled.wait())
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pace.tend_s):
                        await self._troubled.wait()
            self._written.clear()
            await self.tend(retention_s)

    async def tend(self, retention_s: float) -> None:
        """Delete what was kept long enough, give pages back, empty the log, fill the reserve."""

        def purged(table: Table) -> bool:
            now_s = self.clock.now_s()
            return table.purge(now_s - retention_s, now_s)

        try:
            # Each a short transaction of its own: prompts go in between.
            while await self._alone(purged) or await self._alone(Table.vacuum):
                continue
            await self._tried(self._table.checkpoint)
        except SpoolUnwritable as trouble:
            self._tell(f"{trouble}; outcomes wait, prompts are refused")
        else:
            await self._fill_reserve()

    def _opened(self, recover: Callable[[Table, SpoolClock], T]) -> T:
        table = Table(self._directory / "spool.db")
        try:
            clock = SpoolClock(self._machine(), table.clock_record)
            found = table.transact(lambda table: recover(table, clock), clock.record())
        except sqlite3.Error:
            table.abandon()
            raise
        self._table, self.clock = table, clock
        self.boot, self.note = table.boot, table.note
        self.set_aside = set_aside(self._directory)
        return found

    def _unusable(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"{self._directory}: the spool cannot be opened: {error}; the state directory must "
            "be writable by edged's user and hold no foreign spool.db"
        )

    async def _fill_reserve(self) -> None:
        has_room = await self._call(self._reserve.fill)
        self._tell("" if has_room else f"{self._directory}: disk full; prompts are refused")

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await attempt()
            except SpoolUnwritable as trouble:
                await self._make_room(f"{trouble}; outcomes wait, prompts are refused")

    async def _make_room(self, problem: str) -> None:
        """Give the reserve up; if that was done before, wait a little."""
        self._tell(problem)
        if not await self._call(self._reserve.give_up):
            await asyncio.sleep(self._pace.retry_s)

    async def _alone(self, work: Callable[[Table], T]) -> T:
        return await self._transacted(work, Sync.NOW)

    async def _transacted(self, work: Callable[[Table], T], sync: Sync) -> T:
        return await self._tried(lambda: self._table.transact(work, self.clock.record(), sync))

    async def _tried(self, work: Callable[[], T]) -> T:
        """Run `work` in the spool's thread.

        Raises:
            SpoolUnwritable, SpoolDamaged: with a sentence.
        """
        try:
            return await self._call(work)
        except sqlite3.Error as error:
            match fault_of(error):
                case Fault.FULL | Fault.UNWRITABLE:
                    raise SpoolUnwritable(f"{self._directory}: {error}") from error
                case Fault.DAMAGED:
                    raise SpoolDamaged(
                        f"{self._directory}: the spool is damaged: {error}; the next start keeps "
                        "what can be read"
                    ) from error
                case _:
                    raise

    async def _call(self, work: Callable[[], T]) -> T:
        # A transaction that has begun is never abandoned half-way.
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        return await seen_through(future)

    def _tell(self, problem: str) -> None:
        """Say what is wrong, once."""
        if problem == self.problem:
            return
        if problem:
            log.warning("%s", problem)
            self._troubled.set()
        else:
            log.info("%s: there is space again", self._directory)
            self._troubled.clear()
        self.problem = problem
        self.changed.set()
