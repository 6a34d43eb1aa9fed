"""Works on the spool that wait together are committed together.

In:  works of coroutines, each with when it must be safe.     Out: their results, committed.
While one commit is on its way to the disk others come to wait: they share the next one, so that
each waits for two syncs at most, however many come. What may be synced later goes ahead of what is
synced now. A group that fails is done again one by one: each finds out what is wrong with its own.
Does not know: SQLite, what the works do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from edged.spool.disk import Sync
from edged.spool.table import Table

# Whoever was told of the last commit asks for its next one at once, as a prompt that is accepted
# then starts: with so much of a commit's time it shares the next one, and need not wait for it.
LINGER_SHARE = 0.1

T = TypeVar("T")
Work = Callable[[Table], T]


class Transact(Protocol):
    """Runs a work as one transaction."""

    def __call__(self, work: Work[T], sync: Sync) -> Awaitable[T]:
        """Return what the work found, once it is committed."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Work[Any]
    sync: Sync
    found: asyncio.Future[Any]


class Commits:
    """Takes works at any time, and commits those that wait as one transaction."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def commit(self, work: Work[T], sync: Sync) -> T:
        """Return what the work found, once it is committed.

        It is committed also when this is cancelled. It is run again where the group it was in
        failed: what it does beside the table must bear that.

        Raises:
            Exception: as the transaction of this work alone.
        """
        waiting = _Waiting(work, sync, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="commit")
        found: T = await seen_through(waiting.found)
        return found

    async def finished(self) -> None:
        """Wait until nothing waits."""
        if self._task is not None:
            await seen_through(self._task)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            began_s = clock()
            waiting, self._waiting = self._waiting, []
            for sync in (Sync.LATER, Sync.NOW):
                await self._commit([one for one in waiting if one.sync is sync], sync)
            if self._waiting:
                await asyncio.sleep(LINGER_SHARE * (clock() - began_s))
        self._task = None

    async def _commit(self, group: Sequence[_Waiting], sync: Sync) -> None:
        if len(group) > 1 and await self._commit_together(group, sync):
            return
        for one in group:
            result = await self._attempt(one.work, sync)
            if isinstance(result, BaseException):
                one.found.set_exception(result)
            else:
                one.found.set_result(result)

    async def _commit_together(self, group: Sequence[_Waiting], sync: Sync) -> bool:
        """Commit a group as one; return whether that went well."""
        works = [one.work for one in group]
        results = await self._attempt(lambda table: [work(table) for work in works], sync)
        if isinstance(results, BaseException):
            return False
        for one, result in zip(group, results, strict=True):
            one.found.set_result(result)
        return True

    async def _attempt(self, work: Work[Any], sync: Sync) -> Any:
        """Return what a work found, or its error."""
        results = await asyncio.gather(self._transact(work, sync), return_exceptions=True)
        return results[0]


async def seen_through(future: asyncio.Future[T]) -> T:
    """Return what comes of a future, which goes on when its waiter is cancelled."""
    future.add_done_callback(_heed)
    return await asyncio.shield(future)


def _heed(done: asyncio.Future[Any]) -> None:
    """Take note of an error whose waiter was cancelled; asyncio would print it with its stack."""
    if not done.cancelled():
        done.exception()
