"""The care that keeps a spool small: what is no longer needed goes back to the disk."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from edged import config
from edged.spool.disk import LOG_PAGES, PAGE_BYTES
from edged.spool.queue import Spool
from edged.spool.rows import Settlement
from edged.spool.table import FREE_PAGES_KEPT
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import (
    MIB,
    SMALL,
    SOON,
    accept,
    fresh,
    in_spool,
    large,
    opened,
    reasons,
    until,
)

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
