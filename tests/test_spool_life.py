"""From start to delivery: what a row is after each step, a crash or a reboot."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import stat
from pathlib import Path

import pytest

from edged import config
from edged.engine.frames import Prompt
from edged.errors import ConfigError
from edged.spool.queue import Spool
from edged.spool.rows import (
    Answered,
    Fresh,
    Job,
    Known,
    Row,
    Settlement,
    State,
)
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import LIMITS, answered, clock_moved, fresh, in_spool

SECRET = "pallet 4711 of the client who must not be named"


def test_what_ran_when_the_daemon_ended_is_queued_again_and_counted(tmp_path: Path) -> None:
    async def first(spool: Spool) -> None:
        rows = await fresh(spool, candidate("p1"), candidate("p2"))
        await spool.start([rows[0].serial])

    async def second(spool: Spool) -> None:
        ran, waited = spool.rows.values()
        assert (ran.state, ran.restarts, ran.attempts) == (State.QUEUED, 1, 0)
        assert (waited.state, waited.restarts, waited.attempts) == (State.QUEUED, 0, 0)
        assert (ran.attempt, waited.attempt) == (2, 1)
        assert ran.deadline_certain

    in_spool(tmp_path, first)
    in_spool(tmp_path, second)


@pytest.mark.parametrize(("engine_died", "attempts"), [(True, 1), (False, 0)])
def test_an_attempt_counts_only_when_the_engine_died(
    tmp_path: Path, engine_died: bool, attempts: int
) -> None:
    async def first(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await spool.start([row.serial])
        await spool.requeue([row.serial], engine_died=engine_died)
        found = spool.rows[row.serial]
        assert (found.state, found.attempts) == (State.QUEUED, attempts)

    async def second(spool: Spool) -> None:
        assert [row.attempts for row in spool.rows.values()] == [attempts]

    in_spool(tmp_path, first)
    in_spool(tmp_path, second)


def test_only_queued_rows_are_started(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        first, second, third = await fresh(spool, candidate("p1"), candidate("p2"), candidate("p3"))
        await spool.start([first.serial])
        await spool.settle({second.serial: DONE})
        jobs = await spool.start([first.serial, second.serial, third.serial, 999])
        assert list(jobs) == [third.serial]

    in_spool(tmp_path, scenario)


def test_the_first_outcome_of_a_prompt_stays(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await spool.settle({row.serial: DONE})
        before = await spool.settled("c1", "p1")
        await spool.settle({row.serial: Settlement("expired", 408, b"late")})
        assert await spool.settled("c1", "p1") == before
        await spool.delivered({row.serial: True})
        await spool.settle({row.serial: Settlement("expired", 408, b"late")})
        assert await spool.settled("c1", "p1") == before
        assert await spool.letters(0, 9) == []

    in_spool(tmp_path, scenario)


def test_of_two_outcomes_at_once_only_the_first_counts(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        late = Settlement("expired", 408, b"late")
        first, second = await asyncio.gather(
            spool.settle({row.serial: DONE}), spool.settle({row.serial: late})
        )
        letter = await spool.settled("c1", "p1")
        assert letter is not None
        assert (first, second, letter.settlement) == ([(row, letter)], [], DONE)

    in_spool(tmp_path, scenario)


def test_what_was_taken_is_recalled_and_nothing_else_is_taken(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        waiting, ended = await fresh(spool, candidate("waits"), candidate("ended"))
        await spool.settle({ended.serial: DONE})
        again = [candidate(id) for id in ("waits", "ended", "new")]
        known, answered, unknown = await spool.recall(again)
        assert isinstance(known, Known)
        assert isinstance(answered, Answered)
        assert unknown is None
        assert set(spool.rows) == {waiting.serial}
        (taken,) = await spool.accept([candidate("new")])
        assert isinstance(taken, Fresh)

    in_spool(tmp_path, scenario)


def test_letters_come_oldest_first_and_end_with_their_puback(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        rows = await fresh(spool, *(candidate(f"p{n}") for n in range(4)))
        serials = [row.serial for row in rows]
        await spool.settle(dict.fromkeys(reversed(serials), DONE))
        assert [letter.serial for letter in await spool.letters(0, 3)] == serials[:3]
        assert [letter.serial for letter in await spool.letters(serials[1], 9)] == serials[2:]
        await spool.delivered({serials[0]: True, serials[2]: False})
        assert [letter.serial for letter in await spool.letters(0, 9)] == [serials[1], serials[3]]

    in_spool(tmp_path, scenario)


def test_undelivered_outcomes_are_there_after_reopening(tmp_path: Path) -> None:
    async def first(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await spool.settle({row.serial: DONE})

    async def second(spool: Spool) -> None:
        assert dict(spool.rows) == {}
        assert [letter.settlement for letter in await spool.letters(0, 9)] == [DONE]

    in_spool(tmp_path, first)
    in_spool(tmp_path, second)


def test_a_prompts_text_is_erased_with_its_outcome(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        rows = await fresh(spool, *(candidate(f"p{n}", SECRET) for n in range(20)))
        assert found_in_files(tmp_path)
        await spool.settle({row.serial: DONE for row in rows})
        await spool.tend()
        assert found_in_files(tmp_path) == []

    def found_in_files(folder: Path) -> list[str]:
        files = sorted(folder.glob("spool.db*"))
        return [path.name for path in files if SECRET.encode() in path.read_bytes()]

    in_spool(tmp_path, scenario)
    assert (tmp_path / "spool.db").exists()
    assert found_in_files(tmp_path) == []


def test_a_delivered_outcome_is_kept_for_the_retention_and_then_purged(tmp_path: Path) -> None:
    limits = config.Spool(retention_s=3600)

    async def first(spool: Spool) -> None:
        await answered(spool, candidate("p1"))
        (row,) = await fresh(spool, candidate("undelivered"))
        await spool.settle({row.serial: DONE})

    async def second(spool: Spool) -> None:
        await answered(spool, candidate("p2"))
        await spool.tend()
        assert await spool.settled("c1", "p1") is not None

    async def third(spool: Spool) -> None:
        await spool.tend()
        assert await spool.settled("c1", "p1") is None
        assert await spool.settled("c1", "p2") is not None
        assert await spool.settled("c1", "undelivered") is not None

    in_spool(tmp_path, first, limits)
    clock_moved(tmp_path, 3500)
    in_spool(tmp_path, second, limits)
    clock_moved(tmp_path, 200)
    in_spool(tmp_path, third, limits)


def test_after_a_reboot_that_no_clock_saw_deadlines_are_uncertain_and_go_on(
    tmp_path: Path,
) -> None:
    rows: list[Row] = []

    async def first(spool: Spool) -> None:
        rows.extend(await fresh(spool, candidate(ttl_s=60)))

    async def second(spool: Spool) -> None:
        row = spool.rows[rows[0].serial]
        assert not row.deadline_certain
        assert row.deadline_s == rows[0].deadline_s
        assert rows[0].accepted_s <= spool.clock.now_s() < row.deadline_s
        (new,) = await fresh(spool, candidate("p2"))
        assert new.deadline_certain

    in_spool(tmp_path, first)
    with sqlite3.connect(tmp_path / "spool.db") as database:
        database.execute("UPDATE clock SET boot_id = 'another', synchronised = 0")
    database.close()
    in_spool(tmp_path, second)


def test_retention_also_ends_on_a_board_that_only_restarts(tmp_path: Path) -> None:
    async def first(spool: Spool) -> None:
        await answered(spool, candidate("p1"))

    async def second(spool: Spool) -> None:
        tending = asyncio.create_task(spool.keep_tending())
        while await spool.settled("c1", "p1") is not None:  # noqa: ASYNC110 # care tells nobody
            await asyncio.sleep(0.005)
        tending.cancel()

    in_spool(tmp_path, first)
    clock_moved(tmp_path, LIMITS.retention_s + 60)
    in_spool(tmp_path, second)


def test_a_note_is_kept_with_the_outcome_and_the_newest_one_counts(tmp_path: Path) -> None:
    async def first(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await spool.keep_note("before")
        await spool.settle({row.serial: DONE}, "with it")

    in_spool(tmp_path, first)

    async def second(spool: Spool) -> None:
        assert spool.note == "with it"

    in_spool(tmp_path, second)


def test_a_row_knows_the_tokens_of_its_job_after_reopening(tmp_path: Path) -> None:
    job = Job(Prompt(payload="x"), prompt_tokens=17, answer_tokens=60)

    async def first(spool: Spool) -> None:
        await fresh(spool, candidate(job=job), candidate(id="unmeasured"))

    in_spool(tmp_path, first)

    async def second(spool: Spool) -> None:
        counts = [(row.prompt_tokens, row.answer_tokens) for row in spool.rows.values()]
        assert counts == [(17, 60), (None, None)]

    in_spool(tmp_path, second)


def open_once(folder: Path) -> None:
    async def nothing(spool: Spool) -> None:
        assert spool.boot > 0

    in_spool(folder, nothing)


def test_a_state_directory_that_cannot_be_made_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / "file" / "state"))):
        open_once(tmp_path / "file" / "state")


def test_only_edgeds_user_can_read_the_spool(tmp_path: Path) -> None:
    def modes() -> dict[str, int]:
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    async def scenario(spool: Spool) -> None:
        await fresh(spool, candidate())
        names = ["spool.db", "spool.db-wal", "spool.db-shm", "spool.reserve"]
        assert modes() == dict.fromkeys(names, 0o600)

    in_spool(tmp_path, scenario)


def test_every_start_has_its_own_number(tmp_path: Path) -> None:
    numbers: list[int] = []

    async def scenario(spool: Spool) -> None:
        numbers.append(spool.boot)

    for _ in range(3):
        in_spool(tmp_path, scenario)
    assert numbers == [1, 2, 3]


def test_a_serial_is_never_given_twice(tmp_path: Path) -> None:
    limits = config.Spool(retention_s=60)
    serials: list[int] = []

    async def scenario(spool: Spool) -> None:
        await spool.tend()
        serials.extend(await answered(spool, candidate()))

    for _ in range(3):
        in_spool(tmp_path, scenario, limits)
        clock_moved(tmp_path, 1000)
    assert serials == sorted(set(serials))
    assert len(serials) == 3


def test_find_knows_only_what_has_no_outcome(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        assert spool.rows.find("c1", "p1") == row
        assert spool.rows.find("c2", "p1") is None
        await spool.settle({row.serial: DONE})
        assert spool.rows.find("c1", "p1") is None

    in_spool(tmp_path, scenario)
