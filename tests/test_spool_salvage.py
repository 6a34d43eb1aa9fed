"""Spools that a disk has damaged: real files, real damage.

Goal: whatever happens to the bytes, the daemon starts, every row that SQLite can still read is
kept, and the damaged file too. Method: a spool of many kinds of rows is written, its bytes are
changed in all kinds of ways, and a plain SQLite connection of the test's own says what can be read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edged import config
from edged.engine.frames import Prompt
from edged.errors import SpoolDamaged
from edged.spool.queue import Spool
from edged.spool.rows import Answered, Job, Settlement, State
from tests.memory import MEMORY
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import MIB, SOON, accept, fresh, in_spool, needs_mount, opened, small_disk

# Each example is a spool that is written, opened, salvaged and read.
FEW = settings(max_examples=settings().max_examples // 3)
SMALL = config.Spool(bytes_max=MIB)
PAGE = 4096
ROWS = 48
ROOT = Path(__file__).parent.parent
# An altered version is a newer file, which is refused and left as it is.
VERSION_BYTES = range(60, 64)


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


def check_damage(source: Path, name: str, damage: Callable[[bytearray], None]) -> bool:
    """Damage a copy of the spool; check what is kept; return whether a file was set aside."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        folder = Path(place)
        for path in source.glob("spool.db*"):
            shutil.copy(path, folder)
        whole = readable(folder)
        content = bytearray((folder / name).read_bytes())
        damage(content)
        (folder / name).write_bytes(content)
        left = readable(folder)
        unchanged = {serial: row for serial, row in left.items() if whole.get(serial) == row}
        opens_and_keeps(folder, unchanged)
        aside = folder / "spool.db.damaged-1"
        assert not (folder / "spool.db.salvage").exists()
        if aside.exists():
            log = folder / "spool.db.damaged-1-wal"
            check_that_it_can_still_be_read(aside, log, left)
        return aside.exists()


def check_that_it_can_still_be_read(
    aside: Path, log: Path, left: dict[int, tuple[Any, ...]]
) -> None:
    """Check that nothing was taken from the damaged file."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        shutil.copy(aside, Path(place) / "spool.db")
        if log.exists():
            shutil.copy(log, Path(place) / "spool.db-wal")
        found = readable(Path(place))
        assert {serial: found.get(serial) for serial in left} == left


FLIPS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=5
)


@FEW
@given(flips=FLIPS)
@example(flips=[(18 / 2**16, 1)])
def test_flipped_bits_cost_no_row_that_can_be_read(
    folded: Path, flips: list[tuple[float, int]]
) -> None:
    def damage(content: bytearray) -> None:
        for share, mask in flips:
            place = int(share * len(content))
            if place not in VERSION_BYTES:
                content[place] ^= mask

    check_damage(folded, "spool.db", damage)


@FEW
@given(place=st.sampled_from([*range(60), *range(64, 120)]))
def test_no_byte_of_the_header_keeps_the_daemon_from_its_start(folded: Path, place: int) -> None:
    def damage(content: bytearray) -> None:
        content[place] ^= 0xFF

    check_damage(folded, "spool.db", damage)


@FEW
@given(share=st.floats(0, 1))
@example(share=0.0)
@example(share=0.001)
def test_a_file_that_was_cut_keeps_what_is_before_the_cut(folded: Path, share: float) -> None:
    def damage(content: bytearray) -> None:
        del content[int(share * len(content)) :]

    check_damage(folded, "spool.db", damage)


@FEW
@given(share=st.floats(0, 1, exclude_max=True), fill_byte=st.sampled_from([0x00, 0xFF]))
@example(share=0.0, fill_byte=0xFF)
def test_a_lost_page_costs_what_stood_on_it(folded: Path, share: float, fill_byte: int) -> None:
    start = int(share * (folded / "spool.db").stat().st_size) // PAGE * PAGE
    check_damage(folded, "spool.db", partial(lose_page, start=start, fill_byte=fill_byte))


def lose_page(content: bytearray, start: int, fill_byte: int) -> None:
    """Overwrite a page."""
    content[start : start + PAGE] = bytes([fill_byte]) * PAGE


@FEW
@given(flips=FLIPS, in_log=st.booleans())
def test_flipped_bits_beside_a_log_cost_no_row_that_can_be_read(
    cut_off: Path, flips: list[tuple[float, int]], in_log: bool
) -> None:
    def damage(content: bytearray) -> None:
        for share, mask in flips:
            place = int(share * len(content))
            if place not in VERSION_BYTES or in_log:
                content[place] ^= mask

    check_damage(cut_off, "spool.db-wal" if in_log else "spool.db", damage)


def test_a_lost_page_in_the_middle_is_found_and_set_aside(folded: Path) -> None:
    def damage(content: bytearray) -> None:
        content[5 * PAGE : 6 * PAGE] = bytes(PAGE)

    assert check_damage(folded, "spool.db", damage)


def test_an_emptied_file_keeps_its_log_aside(cut_off: Path) -> None:
    assert check_damage(cut_off, "spool.db", bytearray.clear)


def copied(source: Path, folder: Path) -> Path:
    """Copy a spool into a folder; return its file."""
    folder.mkdir(exist_ok=True)
    for path in source.glob("spool.db*"):
        shutil.copy(path, folder)
    return folder / "spool.db"


def changed(path: Path, statement: str) -> None:
    """Change a closed spool past its rules, as only a disk does."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute("PRAGMA writable_schema = ON")
        database.execute(statement)
        database.commit()


def test_the_log_and_the_spool_name_the_file_that_was_set_aside(
    folded: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = copied(folded, tmp_path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    names: list[str] = []

    async def scenario(spool: Spool) -> None:
        names.extend(spool.set_aside)

    with caplog.at_level(logging.ERROR):
        in_spool(tmp_path, scenario, SMALL)
    assert names == ["spool.db.damaged-1"]
    assert "rows saved" in caplog.text
    assert str(tmp_path / "spool.db.damaged-1") in caplog.text


def test_a_second_damage_does_not_overwrite_the_first(folded: Path, tmp_path: Path) -> None:
    for _ in range(3):
        path = copied(folded, tmp_path)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        opens_and_keeps(tmp_path, {})
    found = sorted(path.name for path in tmp_path.glob("spool.db.damaged-?"))
    assert found == [f"spool.db.damaged-{number}" for number in (1, 2, 3)]


def test_a_file_that_is_no_database_is_set_aside_whole(tmp_path: Path) -> None:
    text = "this is a shopping list\n" * 50
    (tmp_path / "spool.db").write_text(text)
    opens_and_keeps(tmp_path, {})
    assert (tmp_path / "spool.db.damaged-1").read_text() == text


def test_a_row_in_no_known_state_is_queued_again(folded: Path, tmp_path: Path) -> None:
    path = copied(folded, tmp_path)
    changed(path, "UPDATE prompt SET state = 'quexed' WHERE id = 'p3'")

    async def scenario(spool: Spool) -> None:
        row = spool.rows.find("c1", "p3")
        assert row is not None
        assert row.state is State.QUEUED

    in_spool(tmp_path, scenario, SMALL)


def test_a_row_that_an_index_has_lost_is_found_again(folded: Path, tmp_path: Path) -> None:
    path = copied(folded, tmp_path)
    with closing(sqlite3.connect(path)) as database:
        before = database.execute("SELECT sql FROM sqlite_master WHERE name = 'prompt_state'")
        (definition,) = before.fetchone()
    hidden = f"{definition} WHERE serial <> 4"
    changed(path, "DROP INDEX prompt_state")
    changed(path, hidden)
    changed(path, f"UPDATE sqlite_master SET sql = '{definition}' WHERE name = 'prompt_state'")

    async def scenario(spool: Spool) -> None:
        assert 4 in spool.rows

    in_spool(tmp_path, scenario, SMALL)
    assert (tmp_path / "spool.db.damaged-1").exists()


def test_a_prompt_whose_text_was_altered_is_kept_and_has_no_job(
    folded: Path, tmp_path: Path
) -> None:
    path = copied(folded, tmp_path)
    changed(path, "UPDATE prompt SET job = CAST(x'7bff22' AS TEXT) WHERE id = 'p3'")

    async def scenario(spool: Spool) -> None:
        row = spool.rows.find("c1", "p3")
        assert row is not None
        assert await spool.start([row.serial]) == {}
        await spool.settle({row.serial: DONE})
        (verdict,) = await accept(spool, prompt(3))
        assert isinstance(verdict, Answered)

    in_spool(tmp_path, scenario, SMALL)


def test_a_prompt_whose_text_lay_on_a_lost_page_is_kept_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = candidate("long", "x", job=Job(Prompt(payload="payload " * 5000)))

    async def first(spool: Spool) -> None:
        await fresh(spool, candidate("short"), long)

    async def second(spool: Spool) -> None:
        row = spool.rows.find("c1", "long")
        assert row is not None
        assert row.destination.topic == "res/c1/long"
        assert await spool.start([row.serial]) == {}
        short = spool.rows.find("c1", "short")
        assert short is not None
        assert len(await spool.start([short.serial])) == 1

    in_spool(tmp_path, first, SMALL)
    content = bytearray((tmp_path / "spool.db").read_bytes())
    starts = range(0, len(content), PAGE)
    texts = [at for at in starts if content[at + 4 : at + PAGE].count(b"payload") > 400]
    content[texts[3] : texts[3] + PAGE] = b"\xff" * PAGE
    (tmp_path / "spool.db").write_bytes(content)
    with caplog.at_level(logging.ERROR):
        in_spool(tmp_path, second, SMALL)
    assert "2 rows saved, 1 of them without their text" in caplog.text


def test_a_lost_clock_goes_on_from_the_newest_row(folded: Path, tmp_path: Path) -> None:
    path = copied(folded, tmp_path)
    changed(path, "UPDATE clock SET spool_s = -1")

    async def scenario(spool: Spool) -> None:
        newest_s = max(row.accepted_s for row in spool.rows.values())
        assert newest_s <= spool.clock.now_s() < newest_s + 60
        assert not any(row.deadline_certain for row in spool.rows.values())

    in_spool(tmp_path, scenario, SMALL)


def test_a_lost_count_of_starts_goes_on_behind_the_ids_that_were_given(
    folded: Path, tmp_path: Path
) -> None:
    path = copied(folded, tmp_path)
    changed(path, "UPDATE prompt SET id = 'b-17-1', board_given = 1 WHERE id = 'p3'")
    changed(path, "DELETE FROM boot")

    async def scenario(spool: Spool) -> None:
        assert spool.boot == 18

    in_spool(tmp_path, scenario, SMALL)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_salvage_that_was_cut_off_is_finished_by_the_next_start(
    cut_off: Path, tmp_path: Path, step: int
) -> None:
    path, whole = copied(cut_off, tmp_path), readable(cut_off)
    content = bytearray(path.read_bytes())
    content[5 * PAGE : 15 * PAGE] = bytes(10 * PAGE)
    path.write_bytes(content)
    left = readable(tmp_path).items()
    wanted = {serial: row for serial, row in left if whole.get(serial) == row}
    assert 0 < len(wanted) < len(whole)
    command = [sys.executable, "-c", OPEN_AND_DIE, str(tmp_path), str(step)]
    died = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert died.returncode == DIED, died.stderr
    opens_and_keeps(tmp_path, wanted)
    assert (tmp_path / "spool.db.damaged-1").exists()
    assert not (tmp_path / "spool.db.salvage").exists()


DIED = 9
# Python tells its audit hooks of each rename before it is done.
OPEN_AND_DIE = f"""
import os, sys
from pathlib import Path
from edged.spool.salvage import open_sound

left = int(sys.argv[2])

def hook(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if not left:
            os._exit({DIED})

sys.addaudithook(hook)
open_sound(Path(sys.argv[1]) / "spool.db")
"""


@needs_mount
def test_a_salvage_waits_for_space_and_loses_nothing(folded: Path, tmp_path: Path) -> None:
    size_bytes = (folded / "spool.db").stat().st_size

    async def scenario(disk: Path) -> None:
        filler = disk / "filler"
        filler.write_bytes(bytes(2 * size_bytes))
        spool = Spool(disk, SMALL, lambda row: DONE, SOON)
        opening = asyncio.create_task(spool.open())
        await asyncio.sleep(0.5)
        assert not opening.done()
        filler.unlink()
        await asyncio.wait_for(opening, 60)
        letters = {letter.serial for letter in await spool.letters(0, 999)}
        assert set(wanted) == set(spool.rows) | letters | delivered
        await spool.close()

    with small_disk(tmp_path / "disk", 4 * size_bytes) as disk:
        path = copied(folded, disk)
        content = bytearray(path.read_bytes())
        content[5 * PAGE : 6 * PAGE] = bytes(PAGE)
        path.write_bytes(content)
        wanted = readable(disk)
        delivered = {serial for serial, row in wanted.items() if row[5] == State.DELIVERED}
        asyncio.run(scenario(disk))


def test_damage_below_a_running_spool_is_told_and_mended_by_the_next_start(
    folded: Path, tmp_path: Path
) -> None:
    path = copied(folded, tmp_path)

    async def scenario() -> None:
        spool = Spool(tmp_path, SMALL, lambda row: DONE, SOON)
        await spool.open()
        await spool.tend()
        spool._file._table._db.execute("PRAGMA shrink_memory")  # what it remembers is sound
        with path.open("r+b") as file:
            file.seek(PAGE)
            file.write(b"\xff" * (path.stat().st_size - PAGE))
        with pytest.raises(SpoolDamaged, match="the next start keeps what can be read"):
            await spool.start(list(spool.rows))
        await spool.close()
        async with opened(tmp_path, SMALL) as again:
            assert again.set_aside == ["spool.db.damaged-1"]

    asyncio.run(scenario())
