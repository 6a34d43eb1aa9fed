"""Outcomes have their room on a full disk: the reserve, which really takes its space.

Method: small real file systems that are filled as another program would fill them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edged import config
from edged.spool.disk import LOG_PAGES, OUTCOME_BYTES_MAX, PAGE_BYTES, Reserve, outcome_bytes
from edged.spool.queue import Spool
from edged.spool.rows import Full, Settlement
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import (
    MIB,
    SMALL,
    SOON,
    accept,
    fill_disk,
    fresh,
    in_spool,
    large,
    needs_mount,
    small_disk,
    until,
)


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
