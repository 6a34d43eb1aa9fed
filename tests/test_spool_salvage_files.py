"""A damaged file is set aside and never lost, also where the salvage is cut off or has no space.

Method: a spool is cut or overwritten; then starts are killed at each rename, wait for a full disk,
or find files that earlier damage left.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from edged.errors import SpoolDamaged
from edged.spool.queue import Spool
from edged.spool.rows import State
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE
from tests.salvage_fixtures import PAGE, copied, opens_and_keeps, readable
from tests.salvage_fixtures import cut_off as cut_off
from tests.salvage_fixtures import folded as folded
from tests.spool_fixtures import SMALL, SOON, in_spool, needs_mount, opened, small_disk

ROOT = Path(__file__).parent.parent


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
