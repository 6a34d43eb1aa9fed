"""Works that wait together share a commit, and each of them ends as it would have alone."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.clock import Instant, Record
from edged.spool.commits import Commits, Work
from edged.spool.disk import Sync
from edged.spool.table import Table
from tools.simulation.loop import VirtualLoop, run_virtually

S = TypeVar("S")
T = TypeVar("T")

RECORD = Record(0.0, Instant("boot", 0.0, 0.0, synchronised=True))


class Refused(Exception):
    """What a work raises that cannot be done."""


def noting(text: str) -> Work[str]:
    """Return a work that keeps a note."""

    def work(table: Table) -> str:
        table.keep_note(text)
        return text

    return work


def failing(table: Table) -> str:
    """Keep a note, then fail."""
    table.keep_note("of one that failed")
    raise Refused


class Transactions:
    """Transactions on a real spool's table, and when each had to be synced."""

    def __init__(self, folder: Path) -> None:
        self.table = Table(folder / "spool.db")
        self.syncs: list[Sync] = []

    async def __call__(self, work: Work[S], sync: Sync) -> S:
        found = self.table.transact(work, RECORD, sync)
        self.syncs.append(sync)
        return found


def in_commits(folder: Path, scenario: Callable[[Commits], Awaitable[T]]) -> tuple[T, list[Sync]]:
    """Run a scenario; return what it found, and the syncs of the transactions it took."""

    async def run() -> T:
        return await scenario(Commits(transactions))

    transactions = Transactions(folder)
    try:
        return asyncio.run(run()), transactions.syncs
    finally:
        transactions.table.abandon()


def kept(folder: Path) -> str | None:
    """Return the note that another process would find."""
    with closing(sqlite3.connect(folder / "spool.db")) as spool:
        found = spool.execute("SELECT text FROM note").fetchone()
    return None if found is None else str(found[0])


def test_those_that_wait_at_once_share_a_commit(tmp_path: Path) -> None:
    async def scenario(commits: Commits) -> list[str]:
        return await asyncio.gather(*(commits.commit(noting(text), Sync.NOW) for text in "abc"))

    assert in_commits(tmp_path, scenario) == (["a", "b", "c"], [Sync.NOW])


def test_what_may_be_synced_later_does_not_wait_for_what_is_synced_now(tmp_path: Path) -> None:
    async def scenario(commits: Commits) -> None:
        await asyncio.gather(
            *(commits.commit(noting(sync), sync) for sync in (Sync.NOW, Sync.LATER))
        )

    _, syncs = in_commits(tmp_path, scenario)
    assert syncs == [Sync.LATER, Sync.NOW]


def test_who_asks_again_at_once_does_not_wait_for_a_commit_in_between(tmp_path: Path) -> None:
    transactions = Transactions(tmp_path)

    async def lasting_a_second(work: Work[S], sync: Sync) -> S:
        found = await transactions(work, sync)
        await asyncio.sleep(1.0)
        return found

    async def scenario(loop: VirtualLoop) -> float:
        async def asks(*texts: str, at_s: float) -> None:
            await asyncio.sleep(at_s)
            for text in texts:
                await commits.commit(noting(text), Sync.NOW)

        commits = Commits(lasting_a_second)
        await asyncio.gather(asks("first", "again", at_s=0.0), asks("second", at_s=0.5))
        return loop.time()

    assert run_virtually(scenario) == pytest.approx(2.1)
    transactions.table.abandon()


def test_one_that_fails_takes_nothing_from_the_others(tmp_path: Path) -> None:
    async def scenario(commits: Commits) -> Sequence[object]:
        works = (noting("before"), failing, noting("after"))
        waiting = (commits.commit(work, Sync.NOW) for work in works)
        return await asyncio.gather(*waiting, return_exceptions=True)

    (before, failed, after), _ = in_commits(tmp_path, scenario)
    assert (before, type(failed), after, kept(tmp_path)) == ("before", Refused, "after", "after")


def test_one_whose_waiter_is_cancelled_is_committed_all_the_same(tmp_path: Path) -> None:
    async def scenario(commits: Commits) -> None:
        waiter = asyncio.create_task(commits.commit(noting("kept"), Sync.NOW))
        await asyncio.sleep(0)  # it begins to wait
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await commits.finished()

    in_commits(tmp_path, scenario)
    assert kept(tmp_path) == "kept"


@given(st.lists(st.tuples(st.none() | st.integers(0, 9).map(str), st.sampled_from(Sync))))
def test_each_of_any_group_ends_as_it_would_alone(asked: list[tuple[str | None, Sync]]) -> None:
    async def scenario(commits: Commits) -> Sequence[object]:
        waiting = (
            commits.commit(failing if text is None else noting(text), sync) for text, sync in asked
        )
        return await asyncio.gather(*waiting, return_exceptions=True)

    with tempfile.TemporaryDirectory() as folder:
        found, _ = in_commits(Path(folder), scenario)
        last = kept(Path(folder))
    assert [None if isinstance(one, Refused) else one for one in found] == [
        text for text, _ in asked
    ]
    in_order = sorted(asked, key=lambda one: [Sync.LATER, Sync.NOW].index(one[1]))
    assert last == next((text for text, _ in reversed(in_order) if text is not None), None)
