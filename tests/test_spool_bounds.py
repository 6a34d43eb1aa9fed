"""A spool is bounded in rows and bytes, with room for the outcomes of what it took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.engine.frames import Prompt
from edged.spool.queue import Spool
from edged.spool.rows import (
    Candidate,
    Fresh,
    Full,
    Job,
    Known,
    Settlement,
)
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import MIB, SMALL, accept, clock_moved, fresh, in_spool


def test_over_rows_max_the_queue_is_full(tmp_path: Path) -> None:
    limits = config.Spool(rows_max=10)

    async def scenario(spool: Spool) -> None:
        verdicts = await accept(spool, *(candidate(f"p{n}") for n in range(11)))
        assert [type(verdict) for verdict in verdicts] == [Fresh] * 10 + [Full]
        assert isinstance(verdicts[10], Full)
        assert verdicts[10].reason == "queue_full"
        assert "spool.rows_max" in verdicts[10].detail
        (known,) = await accept(spool, candidate("p3"))
        assert isinstance(known, Known)
        await spool.settle({next(iter(spool.rows)): DONE})
        (verdict,) = await accept(spool, candidate("p10"))
        assert isinstance(verdict, Fresh)

    in_spool(tmp_path, scenario, limits)


def test_a_full_queue_still_takes_a_prompt_that_replaces_one(tmp_path: Path) -> None:
    limits = config.Spool(rows_max=10)

    async def scenario(spool: Spool) -> None:
        await accept(spool, *(candidate(f"p{n}", replace=f"k{n}") for n in range(10)))
        (verdict,) = await accept(spool, candidate("p10", replace="k4"))
        assert isinstance(verdict, Fresh)
        assert len(spool.rows) == 10

    in_spool(tmp_path, scenario, limits)


def large(id: str, **more: Any) -> Candidate:
    return candidate(id, fingerprint=id, job=Job(Prompt(payload="x" * 50_000)), **more)


def test_over_bytes_max_the_spool_is_full_and_says_so(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        verdicts = await accept(spool, *(large(f"p{n}") for n in range(40)))
        kinds = [type(verdict) for verdict in verdicts]
        taken = kinds.count(Fresh)
        assert kinds == [Fresh] * taken + [Full] * (40 - taken)
        assert 10 < taken < MIB / 50_000
        assert isinstance(verdicts[-1], Full)
        assert verdicts[-1].reason == "spool_full"
        assert "spool.bytes_max" in verdicts[-1].detail

    in_spool(tmp_path, scenario, SMALL)


def test_a_full_spool_has_room_for_the_outcomes_of_what_it_took(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        await accept(spool, *(large(f"p{n}") for n in range(40)))
        body = Settlement("done", 200, b"y" * 4000)
        await spool.settle(dict.fromkeys(list(spool.rows), body))
        assert (tmp_path / "spool.db").stat().st_size < SMALL.bytes_max

    in_spool(tmp_path, scenario, SMALL)


BODY = Settlement("done", 200, b"y" * 10_000)


async def fill_with_delivered(spool: Spool, count: int) -> None:
    for start in range(0, count, 10):
        rows = await fresh(spool, *(candidate(f"d{n}") for n in range(start, start + 10)))
        await spool.settle({row.serial: BODY for row in rows})
        await spool.delivered({row.serial: True for row in rows})


def test_when_space_ends_the_oldest_delivered_go_first_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def first(spool: Spool) -> None:
        await fill_with_delivered(spool, 90)

    async def second(spool: Spool) -> None:
        (undelivered,) = await fresh(spool, large("p1"))
        await spool.settle({undelivered.serial: BODY})
        (verdict,) = await accept(spool, large("p2"))
        assert isinstance(verdict, Fresh)
        kept = [n for n in range(90) if await spool.settled("c1", f"d{n}") is not None]
        assert kept == list(range(90 - len(kept), 90))
        assert 0 < len(kept) < 90
        assert await spool.settled("c1", "p1") is not None

    in_spool(tmp_path, first, config.Spool(bytes_max=2 * MIB))
    clock_moved(tmp_path, 1000)
    assert "the oldest outcomes go" not in caplog.text
    in_spool(tmp_path, second, SMALL)
    assert caplog.text.count("the oldest outcomes go before spool.retention_s is over") == 1


def test_a_delivered_outcome_inside_its_deadline_is_never_dropped(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        await fill_with_delivered(spool, 90)
        (verdict,) = await accept(spool, large("p1"))
        assert isinstance(verdict, Full)
        assert verdict.reason == "spool_full"
        for n in range(90):
            assert await spool.settled("c1", f"d{n}") is not None

    in_spool(tmp_path, scenario, config.Spool(bytes_max=MIB))


def test_a_full_spool_looks_once_for_outcomes_that_may_go(tmp_path: Path) -> None:
    """To find none it reads every delivered row."""
    looks: list[str] = []

    async def scenario(spool: Spool) -> None:
        await fill_with_delivered(spool, 90)
        spool._file._table._db.set_trace_callback(looks.append)
        for _ in range(2):
            assert isinstance((await accept(spool, *(large(f"p{n}") for n in range(9))))[0], Full)

    in_spool(tmp_path, scenario, config.Spool(bytes_max=MIB))
    assert len([look for look in looks if look.startswith("DELETE")]) == 1


def test_an_outcome_that_is_delivered_after_that_look_may_go(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (late,) = await fresh(spool, candidate("late", ttl_s=0.0))
        await fill_with_delivered(spool, 90)
        await accept(spool, large("p1"))
        await spool.settle({late.serial: BODY})
        await spool.delivered({late.serial: True})
        await accept(spool, large("p2"))
        assert await spool.settled("c1", "late") is None

    in_spool(tmp_path, scenario, config.Spool(bytes_max=MIB))


def test_a_disk_that_is_full_refuses_prompts_and_keeps_the_others(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate("p0"))
        with pages_limited(spool):
            verdicts = await accept(spool, *(large(f"p{n}") for n in range(1, 4)))
        assert [getattr(verdict, "reason", None) for verdict in verdicts] == ["spool_full"] * 3
        assert list(spool.rows) == [row.serial]
        assert len(await fresh(spool, large("p1"))) == 1

    in_spool(tmp_path, scenario)


@contextmanager
def pages_limited(spool: Spool) -> Iterator[None]:
    """SQLite's own way to say that the disk is full: no page more than there are."""
    database = spool._file._table._db
    database.execute("PRAGMA max_page_count = 1")
    yield
    database.execute("PRAGMA max_page_count = 1000000")
