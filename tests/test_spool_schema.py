"""Spools of other versions, and what SQLite does for each statement.

Goal: every older file is read, every newer one refused, and no statement reads a whole table.
Method: `tests/spools` holds dumps of files that earlier versions of edged wrote.
"""

from __future__ import annotations

import ast
import asyncio
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edged.bench.delivery.spool_view import fill
from edged.engine.frames import Prompt
from edged.errors import ConfigError
from edged.spool import table
from edged.spool.queue import Spool
from edged.spool.rows import Job, State
from edged.spool.schema import SCHEMA_VERSION, open_database
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import LIMITS, SOON, fresh, in_spool, needs_mount, small_disk

OLD = sorted((Path(__file__).parent / "spools").glob("*.sql"))
EACH_OLD = pytest.mark.parametrize("dump", OLD, ids=lambda path: path.stem)


def restore(dump: Path, folder: Path) -> None:
    """Make the spool that an earlier version wrote."""
    with closing(sqlite3.connect(folder / "spool.db")) as database:
        database.executescript(dump.read_text())


def job(number: int) -> Job:
    """Return the job that the dumps hold under a number."""
    return Job(
        Prompt(payload=f"prompt {number}"),
        schema='{"type":"integer"}',
        max_tokens=9,
        template=("note", "sha256:0"),
    )


def test_there_is_a_dump_of_every_older_version() -> None:
    assert {int(path.stem.split("-")[0]) for path in OLD} == set(range(1, SCHEMA_VERSION))


@EACH_OLD
def test_the_prompts_of_an_older_spool_can_be_run(tmp_path: Path, dump: Path) -> None:
    restore(dump, tmp_path)

    async def scenario(spool: Spool) -> None:
        found = {row.serial: (row.id, row.state, row.restarts) for row in spool.rows.values()}
        assert found == {
            3: ("running", State.QUEUED, 1),
            4: ("queued", State.QUEUED, 0),
            5: ("b-1-1", State.QUEUED, 0),
        }
        row = spool.rows[4]
        assert (row.priority, row.replace, row.destination.correlation) == (7, "k", b"c-1")
        assert await spool.start([3, 4, 5]) == {serial: job(serial) for serial in (3, 4, 5)}

    in_spool(tmp_path, scenario)


@EACH_OLD
def test_the_outcomes_of_an_older_spool_are_delivered_and_replayed(
    tmp_path: Path, dump: Path
) -> None:
    restore(dump, tmp_path)

    async def scenario(spool: Spool) -> None:
        (waiting,) = await spool.letters(0, 9)
        assert (waiting.serial, waiting.settlement.body) == (2, b'{"event":"error"}')
        delivered = await spool.settled("c1", "delivered")
        assert delivered is not None
        assert delivered.settlement.body == b'{"event":"done"}'

    in_spool(tmp_path, scenario)


@EACH_OLD
def test_an_older_spool_takes_prompts_and_counts_on(tmp_path: Path, dump: Path) -> None:
    restore(dump, tmp_path)

    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate("new"))
        assert row.serial == 6
        assert spool.boot == 2
        await spool.settle({6: DONE})

    in_spool(tmp_path, scenario)


@EACH_OLD
def test_an_older_spool_ends_as_a_new_one_begins(tmp_path: Path, dump: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with closing(sqlite3.connect(old)) as database:
        database.executescript(dump.read_text())
    assert described(old) == described(new)


def described(path: Path) -> list[tuple[object, ...]]:
    """Return version, vacuum mode and definitions of a spool that edged has opened."""
    with closing(open_database(path)) as database:
        definitions = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")
        return [
            *database.execute("PRAGMA user_version"),
            *database.execute("PRAGMA auto_vacuum"),
            *definitions,
        ]


def test_an_empty_older_spool_still_counts_its_serials_on(tmp_path: Path) -> None:
    restore(OLD[0], tmp_path)
    with closing(sqlite3.connect(tmp_path / "spool.db")) as database:
        database.execute("DELETE FROM prompt")
        database.commit()

    async def scenario(spool: Spool) -> None:
        assert [row.serial for row in await fresh(spool, candidate())] == [6]

    in_spool(tmp_path, scenario)


@needs_mount
def test_a_migration_waits_for_space_and_loses_nothing(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        filler = folder / "filler"
        spool = Spool(folder, LIMITS, lambda row: DONE, SOON)
        opening = asyncio.create_task(spool.open())
        await asyncio.sleep(0.5)
        assert not opening.done()
        filler.unlink()
        await asyncio.wait_for(opening, 30)
        assert [row.serial for row in spool.rows.values()] == [3, 4, 5]
        await spool.close()

    with small_disk(tmp_path / "disk", 512 * 1024) as disk:
        restore(OLD[0], disk)
        free = 4096
        with (disk / "filler").open("wb") as file:
            file.write(bytes(512 * 1024 - (disk / "spool.db").stat().st_size - free))
        asyncio.run(scenario(disk))


@pytest.mark.parametrize("version", [99, -99])
def test_a_spool_of_a_newer_edged_is_refused_and_left_as_it_is(
    tmp_path: Path, version: int
) -> None:
    in_spool(tmp_path, nothing)
    with closing(sqlite3.connect(tmp_path / "spool.db")) as database:
        database.execute(f"PRAGMA user_version = {version}")
    before = (tmp_path / "spool.db").read_bytes()
    with pytest.raises(ConfigError, match=rf"newer edged \(schema {version}.*move the file aside"):
        in_spool(tmp_path, nothing)
    assert (tmp_path / "spool.db").read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "spool.db")) as database:
        database.execute("CREATE TABLE recipe (cake TEXT)")
    before = (tmp_path / "spool.db").read_bytes()
    with pytest.raises(ConfigError, match=r"not edged's; move the file aside"):
        in_spool(tmp_path, nothing)
    assert (tmp_path / "spool.db").read_bytes() == before


async def nothing(spool: Spool) -> None:
    """Open and close."""
    assert spool.boot > 0


def statements() -> Iterator[str]:
    """Yield every SQL statement in the spool's table, its names filled in."""
    tree = ast.parse(Path(table.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            text = ast.unparse(node.args[0])
            if re.match(r"f?['\"](SELECT|INSERT|UPDATE|DELETE) ", text):
                yield eval(text, vars(table))


def test_no_statement_reads_a_whole_table(tmp_path: Path) -> None:
    found = list(statements())
    assert len(found) > 15
    with closing(open_database(tmp_path / "spool.db")) as database:
        scans = {
            statement: step
            for statement in found
            for *_, step in explained(database, statement)
            if step.startswith("SCAN")
        }
    assert scans == {}


@pytest.mark.slow
@pytest.mark.parametrize("is_analysed", [False, True])
def test_with_100_000_rows_no_statement_reads_a_whole_table(
    tmp_path: Path, is_analysed: bool
) -> None:
    """Also where somebody let SQLite count: it then plans by what is there."""
    fill(tmp_path, waiting=10_000, delivered=90_000)
    with closing(sqlite3.connect(tmp_path / "spool.db")) as database:
        if is_analysed:
            database.execute("ANALYZE")
        scans = [
            (statement, step)
            for statement in statements()
            for *_, step in explained(database, statement)
            if step.startswith("SCAN")
        ]
    assert scans == []


def test_a_statement_that_reads_a_whole_table_is_found(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "spool.db")) as database:
        steps = [step for *_, step in explained(database, "SELECT id FROM prompt WHERE topic = ?")]
    assert any(step.startswith("SCAN") for step in steps)


def explained(database: sqlite3.Connection, statement: str) -> list[tuple[int, int, int, str]]:
    """Return SQLite's plan of a statement."""
    values = [None] * statement.count("?")
    return database.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
