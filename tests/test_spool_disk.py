"""Disks that are full, read-only or taken.

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
from pathlib import Path
from typing import Any

import pytest

from edged.errors import ConfigError
from edged.spool.disk import Fault, fault_of
from edged.spool.queue import Spool
from edged.spool.rows import Settlement
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import (
    MIB,
    SMALL,
    SOON,
    accept,
    break_ext4,
    ext4_disk,
    fill_disk,
    fresh,
    in_spool,
    large,
    mount,
    needs_ext4,
    needs_mount,
    reasons,
    small_disk,
    superseded,
    until,
)


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
