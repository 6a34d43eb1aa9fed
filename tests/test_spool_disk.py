"""Disks that are full, read-only or taken, and the care that keeps a spool small.

Goal: nothing that was accepted is lost, prompts are refused with a sentence, and the spool goes on
by itself. Method: small real file systems that are filled as another program would fill them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.engine.frames import Prompt
from edged.errors import ConfigError
from edged.spool.disk import (
    LOG_PAGES,
    OUTCOME_BYTES_MAX,
    PAGE_BYTES,
    Fault,
    Reserve,
    fault_of,
    outcome_bytes,
)
from edged.spool.queue import Spool
from edged.spool.rows import Candidate, Full, Job, Settlement, Verdict
from edged.spool.table import FREE_PAGES_KEPT
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import (
    MIB,
    SOON,
    accept,
    break_ext4,
    ext4_disk,
    fill_disk,
    fresh,
    in_spool,
    mount,
    needs_ext4,
    needs_mount,
    opened,
    small_disk,
    superseded,
    until,
)

SMALL = config.Spool(bytes_max=MIB)


def large(id: str, size_bytes: int = 20_000) -> Candidate:
    """Return a prompt of some size."""
    return candidate(id, id, job=Job(Prompt(payload="x" * size_bytes)))


def reasons(verdicts: list[Verdict]) -> list[str | None]:
    """Return why prompts were refused; None for those that were not."""
    return [verdict.reason if isinstance(verdict, Full) else None for verdict in verdicts]


@needs_mount
def test_on_a_full_disk_outcomes_get_the_reserve(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        rows = await fresh(spool, *(large(f"p{n}") for n in range(10)))
        fill_disk(disk)
        await spool.start([row.serial for row in rows])
        body = Settlement("done", 200, b"y" * 2000)
        await spool.settle({row.serial: body for row in rows})
        assert len(await spool.letters(0, 99)) == 10
        await spool.delivered({row.serial: True for row in rows})
        assert not (disk / "spool.reserve").exists()
        assert "full" in spool.problem

    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        in_spool(disk, scenario, SMALL)
        (disk / "filler").unlink()


@needs_mount
def test_without_its_reserve_a_spool_refuses_prompts_until_there_is_space(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate("p0"))
        filler = fill_disk(disk)
        await spool.settle({row.serial: Settlement("done", 200, b"y" * 20_000)})
        assert not (disk / "spool.reserve").exists()
        (verdict,) = await accept(spool, candidate("p1"))
        assert isinstance(verdict, Full)
        assert verdict.reason == "spool_full"
        assert str(disk) in verdict.detail
        tending = asyncio.create_task(spool.keep_tending())
        filler.unlink()
        await until(lambda: not spool.problem)
        assert (disk / "spool.reserve").exists()
        assert len(await fresh(spool, candidate("p1"))) == 1
        tending.cancel()

    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        in_spool(disk, scenario, SMALL)


@needs_mount
def test_when_the_reserve_is_used_up_outcomes_wait_for_space(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        rows = await fresh(spool, *(candidate(f"p{n}") for n in range(10)))
        filler = fill_disk(disk)
        body = Settlement("done", 200, b"y" * MIB)
        settling = asyncio.create_task(spool.settle({row.serial: body for row in rows}))
        await until(lambda: "outcomes wait" in spool.problem)
        await asyncio.sleep(3 * SOON.retry_s)
        assert not settling.done()
        assert len(spool.rows) == 10
        filler.unlink()
        await asyncio.wait_for(settling, 30)
        assert len(await spool.letters(0, 99)) == 10

    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        in_spool(disk, scenario, SMALL)


@needs_mount
def test_a_spool_opens_on_a_full_disk_with_its_reserve(tmp_path: Path) -> None:
    async def first(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await spool.start([row.serial])

    async def second(spool: Spool) -> None:
        (row,) = spool.rows.values()
        assert row.restarts == 1
        assert "disk full; prompts are refused" in spool.problem
        await spool.settle({row.serial: DONE})

    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        in_spool(disk, first, SMALL)
        fill_disk(disk)
        in_spool(disk, second, SMALL)


@needs_mount
def test_a_spool_opens_once_there_is_space(tmp_path: Path) -> None:
    async def first(spool: Spool) -> None:
        await fresh(spool, candidate())

    async def second() -> None:
        spool = Spool(disk, SMALL, superseded, SOON)
        opening = asyncio.create_task(spool.open())
        await until(lambda: "cannot be opened" in spool.problem)
        await asyncio.sleep(3 * SOON.retry_s)
        assert not opening.done()
        (disk / "filler").unlink()
        await asyncio.wait_for(opening, 30)
        assert len(spool.rows) == 1
        await spool.close()

    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        in_spool(disk, first, SMALL)
        (disk / "spool.reserve").unlink()
        fill_disk(disk)
        asyncio.run(second())


@needs_mount
def test_a_spool_closes_on_a_full_disk_and_loses_nothing(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        await fresh(spool, *(candidate(f"p{n}") for n in range(20)))
        (disk / "spool.reserve").unlink()
        fill_disk(disk)

    async def again(spool: Spool) -> None:
        assert len(spool.rows) == 20

    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        in_spool(disk, scenario, SMALL)
        (disk / "filler").unlink()
        in_spool(disk, again, SMALL)


@needs_ext4
def test_on_a_disk_that_became_read_only_prompts_are_refused_and_outcomes_wait(
    tmp_path: Path,
) -> None:
    image = tmp_path / "image"

    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate("p0"))
        break_ext4(disk)
        settling = asyncio.create_task(spool.settle({row.serial: DONE}))
        await until(lambda: "outcomes wait" in spool.problem)
        assert reasons(await accept(spool, candidate("p1"))) == ["spool_full"]
        await spool.tend()
        await asyncio.sleep(3 * SOON.retry_s)
        assert not settling.done()
        assert list(spool.rows) == [row.serial]
        settling.cancel()

    async def again(spool: Spool) -> None:
        assert [row.id for row in spool.rows.values()] == ["p0"]
        assert len(await fresh(spool, candidate("p1"))) == 1

    with ext4_disk(image, tmp_path / "disk") as disk:
        in_spool(disk, scenario, SMALL)
    with ext4_disk(image, tmp_path / "disk") as disk:
        in_spool(disk, again, SMALL)


@needs_mount
def test_a_read_only_state_directory_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async def nothing(spool: Spool) -> None:
        await fresh(spool, candidate())

    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        in_spool(disk, nothing, SMALL)
        mount("-o", "remount,ro", str(disk))
        with pytest.raises(ConfigError, match="must be writable by edged's user"):
            in_spool(disk, nothing, SMALL)
        mount("-o", "remount,rw", str(disk))
        in_spool(disk, nothing, SMALL)
        assert not list(disk.glob("*.damaged*"))


def test_a_spool_that_somebody_else_holds_is_waited_for(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        spool._file._table._db.execute("PRAGMA busy_timeout = 10")
        with closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            settling = asyncio.create_task(spool.settle({row.serial: DONE}))
            await until(lambda: "locked" in spool.problem)
            other.execute("ROLLBACK")
            await asyncio.wait_for(settling, 30)
        assert len(await spool.letters(0, 9)) == 1

    in_spool(tmp_path, scenario, SMALL)


def test_the_problem_is_told_to_those_who_wait_for_a_change(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        spool.changed.clear()
        database = spool._file._table._db
        database.execute("PRAGMA max_page_count = 1")
        assert reasons(await accept(spool, large("p0"))) == ["spool_full"]
        assert spool.changed.is_set()
        assert spool.problem.endswith("prompts are refused")
        database.execute("PRAGMA max_page_count = 1000000")
        spool.changed.clear()
        await spool.tend()
        assert spool.changed.is_set()
        assert spool.problem == ""

    in_spool(tmp_path, scenario, SMALL)


@pytest.mark.parametrize("step", range(1, 4))
def test_a_disk_that_is_full_in_any_step_of_a_prompt_only_delays_it(
    tmp_path: Path, step: int
) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, large("p0", 1000))
        database = spool._file._table._db
        works: tuple[Callable[[], Coroutine[Any, Any, object]], ...] = (
            lambda: spool.start([row.serial]),
            lambda: spool.settle({row.serial: Settlement("done", 200, b"y" * 50_000)}),
            lambda: spool.delivered({row.serial: True}),
        )
        for number, work in enumerate(works, start=1):
            if number == step:
                database.execute("PRAGMA max_page_count = 1")
            working = asyncio.create_task(work())
            await asyncio.sleep(2 * SOON.retry_s)
            database.execute("PRAGMA max_page_count = 1000000")
            await asyncio.wait_for(working, 30)
        assert await spool.settled("c1", "p0") is not None
        assert await spool.letters(0, 9) == []

    in_spool(tmp_path, scenario, SMALL)


def test_the_reserve_really_takes_its_space(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        assert spool.problem == ""
        found = (tmp_path / "spool.reserve").stat()
        assert found.st_size == LOG_PAGES * PAGE_BYTES + outcome_bytes(8 * MIB)
        assert found.st_blocks * 512 >= found.st_size
        assert found.st_mode & 0o777 == 0o600

    in_spool(tmp_path, scenario, config.Spool(bytes_max=8 * MIB))


@pytest.mark.parametrize(("bytes_max", "reserved"), [(MIB, MIB // 10), (2**36, OUTCOME_BYTES_MAX)])
def test_a_tenth_of_the_spool_is_for_outcomes_up_to_a_bound(bytes_max: int, reserved: int) -> None:
    assert outcome_bytes(bytes_max) == reserved


@needs_mount
def test_a_reserve_that_finds_no_room_leaves_the_rest_alone(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", MIB) as disk:
        reserve = Reserve(disk / "spool.reserve", 2 * MIB)
        assert not reserve.fill()
        assert list(disk.iterdir()) == []
        (disk / "another").write_bytes(bytes(MIB // 2))


@needs_mount
def test_a_whole_reserve_stays_when_the_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 * MIB) as disk:
        reserve = Reserve(disk / "spool.reserve", 2 * MIB)
        assert reserve.fill()
        fill_disk(disk)
        assert not reserve.fill()
        assert reserve.is_whole
        assert (disk / "spool.reserve").stat().st_blocks * 512 == 2 * MIB


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (sqlite3.SQLITE_FULL, Fault.FULL),
        (sqlite3.SQLITE_IOERR_WRITE, Fault.FULL),
        (sqlite3.SQLITE_IOERR_SHMSIZE, Fault.FULL),
        (sqlite3.SQLITE_IOERR_READ, Fault.DAMAGED),
        (sqlite3.SQLITE_IOERR_SHORT_READ, Fault.DAMAGED),
        (sqlite3.SQLITE_READONLY_DBMOVED, Fault.UNWRITABLE),
        (sqlite3.SQLITE_CANTOPEN, Fault.UNWRITABLE),
        (sqlite3.SQLITE_CORRUPT_VTAB, Fault.DAMAGED),
        (sqlite3.SQLITE_NOTADB, Fault.DAMAGED),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, None),
        (sqlite3.SQLITE_MISUSE, None),
        (None, None),
    ],
)
def test_an_error_of_sqlite_says_what_the_disk_did(code: int | None, fault: Fault | None) -> None:
    error = sqlite3.OperationalError("words")
    if code is not None:
        error.sqlite_errorcode = code
    assert fault_of(error) is fault


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ENOSPC, Fault.FULL),
        (errno.EDQUOT, Fault.FULL),
        (errno.EROFS, Fault.UNWRITABLE),
        (errno.EACCES, Fault.UNWRITABLE),
    ],
)
def test_an_error_of_the_file_system_says_what_the_disk_did(number: int, fault: Fault) -> None:
    assert fault_of(OSError(number, os.strerror(number))) is fault


OUTCOME = Settlement("done", 200, b"y" * 20_000)


async def deliver_many(spool: Spool, count: int, outcome: Settlement = OUTCOME) -> None:
    """Accept, settle and deliver so many prompts."""
    for start in range(0, count, 50):
        rows = await fresh(spool, *(candidate(f"d{n}") for n in range(start, start + 50)))
        await spool.settle({row.serial: outcome for row in rows})
        await spool.delivered({row.serial: True for row in rows})


def test_what_retention_frees_goes_back_to_the_disk(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        await deliver_many(spool, 400)
        await spool.tend()
        before = (tmp_path / "spool.db").stat().st_size
        spool.clock._offset_s += 1000
        await spool.tend()
        after = (tmp_path / "spool.db").stat().st_size
        assert await spool.settled("c1", "d0") is None
        assert before > 7 * MIB
        assert after <= (FREE_PAGES_KEPT + 100) * PAGE_BYTES

    in_spool(tmp_path, scenario, config.Spool(retention_s=60))


def test_a_few_free_pages_stay_for_the_next_prompts(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        await deliver_many(spool, 100)
        await spool.tend()
        before = (tmp_path / "spool.db").stat().st_size
        spool.clock._offset_s += 1000
        await spool.tend()
        assert await spool.settled("c1", "d0") is None
        assert (tmp_path / "spool.db").stat().st_size == before

    in_spool(tmp_path, scenario, config.Spool(retention_s=60))


def test_retention_deletes_many_rows_in_short_transactions(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        await deliver_many(spool, 600, DONE)
        await spool.tend()
        spool.clock._offset_s += 1000
        statements: list[str] = []
        spool._file._table._db.set_trace_callback(statements.append)
        await spool.tend()
        spool._file._table._db.set_trace_callback(None)
        assert await spool.settled("c1", "d599") is None
        deletes = [place for place, text in enumerate(statements) if text.startswith("DELETE")]
        commits = [place for place, text in enumerate(statements) if text == "COMMIT"]
        assert len(deletes) == 3
        assert all(any(a < commit < b for commit in commits) for a, b in pairwise(deletes))

    in_spool(tmp_path, scenario, config.Spool(retention_s=60))


def test_the_log_is_bounded_while_prompts_come_and_go(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        for number in range(40):
            rows = await fresh(spool, *(large(f"p{number}-{n}", 5000) for n in range(20)))
            await spool.settle({row.serial: DONE for row in rows})
            assert (tmp_path / "spool.db-wal").stat().st_size < 1.5 * LOG_PAGES * PAGE_BYTES

    in_spool(tmp_path, scenario)


def test_care_empties_the_log(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        await fresh(spool, candidate())
        assert (tmp_path / "spool.db-wal").stat().st_size > 0
        await spool.tend()
        assert (tmp_path / "spool.db-wal").stat().st_size == 0

    in_spool(tmp_path, scenario)


def test_an_idle_spool_whose_next_prompt_finds_no_room_goes_on_when_there_is_some(
    tmp_path: Path,
) -> None:
    async def scenario(spool: Spool) -> None:
        tending = asyncio.create_task(spool.keep_tending())
        await fresh(spool, candidate())
        await until(lambda: (tmp_path / "spool.db-wal").stat().st_size == 0)  # it waits for a write
        database = spool._file._table._db
        database.execute("PRAGMA max_page_count = 1")
        assert reasons(await accept(spool, large("p0"))) == ["spool_full"]
        database.execute("PRAGMA max_page_count = 1000000")
        await until(lambda: not spool.problem)
        tending.cancel()

    in_spool(tmp_path, scenario, SMALL)


def test_care_is_taken_after_a_write_and_an_idle_spool_sleeps(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            tending = asyncio.create_task(spool.keep_tending())
            await fresh(spool, candidate())
            log = tmp_path / "spool.db-wal"
            await until(lambda: log.stat().st_size == 0)
            statements = ["of the last care, perhaps"]
            spool._file._table._db.set_trace_callback(statements.append)
            async with asyncio.timeout(60):
                while statements:  # a timer would leave some in every such while
                    statements.clear()
                    await asyncio.sleep(30 * SOON.tend_s)
            tending.cancel()

    asyncio.run(scenario())
