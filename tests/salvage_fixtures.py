"""Spools that a disk is about to damage, and what can be read of those that it damaged.

In: a spool's folder.  Out: spools of many kinds of rows, closed or cut off; a plain SQLite
connection's word on what is left; and a check that the daemon keeps it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edged.engine.frames import Prompt
from edged.spool.queue import Spool
from edged.spool.rows import Job, Settlement, State
from tests.memory import MEMORY
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import SMALL, fresh, in_spool

PAGE = 4096
ROWS = 48


def prompt(number: int, **more: Any) -> Any:
    """Return a prompt; every fourth fills several pages of its own."""
    text = f"prompt {number} " * (1000 if number % 4 == 0 else 5)
    return candidate(f"p{number}", text, job=Job(Prompt(payload=text)), **more)


def answer(number: int) -> Settlement:
    """Return the outcome of a prompt; every third fills a page of its own."""
    return Settlement("done", 200, json.dumps([number] * (4000 if number % 3 == 0 else 3)).encode())


async def fill(spool: Spool) -> None:
    """Write rows in all states: delivered, settled, running, queued, in turn."""
    rows = await fresh(spool, *(prompt(number) for number in range(ROWS)))
    parts = {kind: [row.serial for row in rows[kind::4]] for kind in range(4)}
    await spool.settle({serial: answer(serial) for kind in (0, 1) for serial in parts[kind]})
    await spool.delivered(dict.fromkeys(parts[0], True))
    await spool.start(parts[2])


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spool that was closed in order: one file."""
    folder = tmp_path_factory.mktemp("folded")
    in_spool(folder, fill, SMALL)
    return folder


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spool whose daemon was killed: half of the rows are in the log alone."""
    folder, copy = tmp_path_factory.mktemp("cut-off"), tmp_path_factory.mktemp("copy")

    async def scenario(spool: Spool) -> None:
        await fill(spool)
        await spool.tend()
        await fresh(spool, *(prompt(number) for number in range(ROWS, 2 * ROWS)))
        for name in ("spool.db", "spool.db-wal"):
            shutil.copy(folder / name, copy / name)

    in_spool(folder, scenario, SMALL)
    return copy


def readable(folder: Path) -> dict[int, tuple[Any, ...]]:
    """Return the rows that a plain SQLite connection reads one by one, by serial."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as copy:
        for path in folder.glob("spool.db*"):
            shutil.copy(path, copy)
        with closing(sqlite3.connect(Path(copy) / "spool.db")) as database:
            found = (looked_up(database, serial) for serial in range(1, 2 * ROWS + 1))
            return {row[0]: row for row in found if row is not None}


def looked_up(database: sqlite3.Connection, serial: int) -> tuple[Any, ...] | None:
    try:
        found: tuple[Any, ...] | None = database.execute(
            "SELECT * FROM prompt WHERE serial = ?", (serial,)
        ).fetchone()
    except sqlite3.DatabaseError:
        return None
    return found


def opens_and_keeps(folder: Path, wanted: dict[int, tuple[Any, ...]]) -> None:
    """Open a spool as the daemon does; check that the wanted rows are there, texts and all."""

    async def scenario(spool: Spool) -> None:
        for serial, row in wanted.items():
            _, client, id, *_ = row
            state, job, outcome = row[5], row[17], row[20]
            if state in (State.QUEUED, State.RUNNING):
                assert spool.rows[serial].restarts == (state == State.RUNNING)
                assert await spool.start([serial]) == {serial: Job.from_json(job.encode())}
            else:
                letter = await spool.settled(client, id)
                assert letter is not None
                assert letter.settlement.body == outcome
                waits = serial in [letter.serial for letter in await spool.letters(0, 999)]
                assert waits == (state == State.SETTLED)
        (new,) = await fresh(spool, candidate("new"))
        assert new.serial not in wanted
        await spool.settle({new.serial: DONE})

    in_spool(folder, scenario, SMALL)


def copied(source: Path, folder: Path) -> Path:
    """Copy a spool into a folder; return its file."""
    folder.mkdir(exist_ok=True)
    for path in source.glob("spool.db*"):
        shutil.copy(path, folder)
    return folder / "spool.db"
