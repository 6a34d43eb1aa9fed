from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edged import config
from edged.contract import Destination
from edged.engine.frames import Message, Prompt, Sampling
from edged.errors import ConfigError
from edged.spool.queue import Spool
from edged.spool.rows import (
    Answered,
    Candidate,
    Conflict,
    Fresh,
    Full,
    Job,
    Known,
    Row,
    Settlement,
    State,
)
from tests.memory import MEMORY
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import LIMITS, MIB, accept, fresh, in_spool, opened, superseded

SECRET = "pallet 4711 of the client who must not be named"
SHARES = st.lists(st.integers(1, 5), unique=True)
T = TypeVar("T")


async def answered(spool: Spool, *candidates: Candidate) -> list[int]:
    """Accept, settle and deliver prompts; return their serials."""
    serials = [row.serial for row in await fresh(spool, *candidates)]
    await spool.settle(dict.fromkeys(serials, DONE))
    await spool.delivered(dict.fromkeys(serials, True))
    return serials


def test_an_accepted_prompt_is_there_after_reopening(tmp_path: Path) -> None:
    job = Job(
        prompt=Prompt(messages=(Message("user", "Größe?"), Message("assistant", "\0"))),
        schema='{"const":"é"}',
        max_tokens=9,
        sampling=Sampling(temperature=0.5, seed=7, stop=("a", "b")),
        template=("note", "sha256:0"),
        wire="compact",
    )
    asked = candidate(
        job=job,
        destination=Destination("plc/1", b"\0c"),
        priority=7,
        receipt=True,
        stream=True,
        replace="k",
    )
    before: list[Row] = []

    async def first(spool: Spool) -> None:
        before.extend(await fresh(spool, asked))

    async def second(spool: Spool) -> None:
        assert list(spool.rows.values()) == before
        assert await spool.start([before[0].serial]) == {before[0].serial: job}

    in_spool(tmp_path, first)
    in_spool(tmp_path, second)
    assert before[0].destination == asked.destination
    assert before[0].deadline_s == before[0].accepted_s + 300


def test_the_same_prompt_again_is_known(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        (verdict,) = await accept(spool, candidate())
        assert verdict == Known(row)
        await spool.start([row.serial])
        (verdict,) = await accept(spool, candidate())
        assert isinstance(verdict, Known)
        assert verdict.row.state is State.RUNNING

    in_spool(tmp_path, scenario)


def test_the_same_prompt_in_one_group_is_one_row(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        first, second = await accept(spool, candidate(), candidate())
        assert isinstance(first, Fresh)
        assert second == Known(first.row)
        assert len(spool.rows) == 1

    in_spool(tmp_path, scenario)


@pytest.mark.parametrize("delivered", [False, True])
def test_the_same_prompt_after_its_outcome_gets_it_verbatim_at_the_new_place(
    tmp_path: Path, delivered: bool
) -> None:
    again = candidate(destination=Destination("plc/2", b"new"))

    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await spool.settle({row.serial: DONE})
        if delivered:
            await spool.delivered({row.serial: True})
        (verdict,) = await accept(spool, again)
        assert isinstance(verdict, Answered)
        assert verdict.letter.settlement == DONE
        assert verdict.letter.destination == again.destination

    in_spool(tmp_path, scenario)


def test_a_known_prompt_is_answered_where_its_newest_copy_wants_it(tmp_path: Path) -> None:
    again = candidate(destination=Destination("plc/2", b"new"))

    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await accept(spool, again)
        assert spool.rows[row.serial].destination == again.destination
        await spool.settle({row.serial: DONE})
        (letter,) = await spool.letters(0, 9)
        assert letter.destination == again.destination

    in_spool(tmp_path, scenario)


@pytest.mark.parametrize("settled", [False, True])
def test_another_prompt_under_a_known_id_is_a_conflict(tmp_path: Path, settled: bool) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate(text="hi"))
        if settled:
            await spool.settle({row.serial: DONE})
        assert await accept(spool, candidate(text="ho")) == [Conflict("p1")]

    in_spool(tmp_path, scenario)


def test_ids_belong_to_their_client(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        rows = await fresh(spool, candidate(text="hi"), candidate(text="ho", client="c2"))
        assert [(row.client, row.id) for row in rows] == [("c1", "p1"), ("c2", "p1")]

    in_spool(tmp_path, scenario)


def board_given(id: str, text: str = "hi", **more: Any) -> Candidate:
    return candidate(id, text, board_given=True, **more)


def test_the_brokers_repeat_of_a_prompt_without_id_is_the_same_prompt(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, board_given("b-1-1"))
        (verdict,) = await accept(spool, board_given("b-2-1", duplicate=True))
        assert verdict == Known(row)

    in_spool(tmp_path, scenario)


def test_the_repeat_of_an_answered_prompt_without_id_goes_to_that_prompts_topic(
    tmp_path: Path,
) -> None:
    async def scenario(spool: Spool) -> None:
        await answered(spool, board_given("b-1-1"))
        (verdict,) = await accept(spool, board_given("b-2-1", duplicate=True))
        assert isinstance(verdict, Answered)
        assert verdict.id == "b-1-1"
        assert verdict.letter.destination.topic == "res/c1/b-1-1"

    in_spool(tmp_path, scenario)


@pytest.mark.parametrize(
    "again",
    [
        board_given("b-1-2"),
        board_given("b-1-2", "ho", duplicate=True),
        board_given("b-1-2", duplicate=True, client="c2"),
        candidate("p9", "hi", duplicate=True),
    ],
    ids=["no DUP", "other text", "other client", "own id"],
)
def test_only_the_brokers_repeat_counts_as_the_same(tmp_path: Path, again: Candidate) -> None:
    async def scenario(spool: Spool) -> None:
        await fresh(spool, board_given("b-1-1"))
        (verdict,) = await accept(spool, again)
        assert isinstance(verdict, Fresh)

    in_spool(tmp_path, scenario)


def test_replace_supersedes_the_queued_prompt_of_the_same_client_and_key(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        old, *others = await fresh(
            spool,
            candidate("p1", replace="k"),
            candidate("p2", replace="other"),
            candidate("p3"),
            candidate("p4", replace="k", client="c2"),
        )
        (verdict,) = await accept(spool, candidate("p5", replace="k"))
        assert isinstance(verdict, Fresh)
        assert verdict.superseded == (old,)
        assert set(spool.rows) == {row.serial for row in (*others, verdict.row)}
        (letter,) = await spool.letters(0, 9)
        assert (letter.serial, letter.settlement) == (old.serial, superseded(old))

    in_spool(tmp_path, scenario)


def test_replace_leaves_a_running_prompt_alone(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (old,) = await fresh(spool, candidate("p1", replace="k"))
        await spool.start([old.serial])
        (verdict,) = await accept(spool, candidate("p2", replace="k"))
        assert isinstance(verdict, Fresh)
        assert verdict.superseded == ()
        assert old.serial in spool.rows

    in_spool(tmp_path, scenario)


def test_of_two_with_one_key_in_one_group_the_later_stays(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        verdicts = await accept(spool, candidate("p1", replace="k"), candidate("p2", replace="k"))
        assert [type(verdict) for verdict in verdicts] == [Fresh, Fresh]
        assert [row.id for row in spool.rows.values()] == ["p2"]
        assert [letter.settlement.event for letter in await spool.letters(0, 9)] == ["superseded"]

    in_spool(tmp_path, scenario)


def test_superseding_and_accepting_are_one_transaction(tmp_path: Path) -> None:
    def refuse(row: Row) -> Settlement:
        raise RuntimeError(f"no words for {row.id}")

    async def scenario() -> None:
        spool = Spool(tmp_path, LIMITS, refuse)
        await spool.open()
        await accept(spool, candidate("p1", replace="k"))
        with pytest.raises(RuntimeError):
            await accept(spool, candidate("p0"), candidate("p2", replace="k"))
        await spool.close()
        async with opened(tmp_path) as again:
            assert [row.id for row in again.rows.values()] == ["p1"]

    asyncio.run(scenario())


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


def test_a_closed_spool_answers_for_what_it_took_and_takes_nothing_else(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        waiting, ended = await fresh(spool, candidate("waits"), candidate("ended"))
        await spool.settle({ended.serial: DONE})
        again = [candidate(id) for id in ("waits", "ended", "new")]
        known, answered, refused = await spool.accept(again, is_closed=True)
        assert isinstance(known, Known)
        assert isinstance(answered, Answered)
        assert isinstance(refused, Full)
        assert refused.reason == "draining"
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


def clock_moved(folder: Path, by_s: float) -> None:
    """Let the spool's clock go on as if `by_s` seconds had passed while it was closed."""
    with sqlite3.connect(folder / "spool.db") as database:
        database.execute("UPDATE clock SET spool_s = spool_s + ?", (by_s,))
    database.close()


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


SMALL = config.Spool(bytes_max=MIB)


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


def open_once(folder: Path) -> None:
    async def nothing(spool: Spool) -> None:
        assert spool.boot > 0

    in_spool(folder, nothing)


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


COMMITTER = """
import asyncio, sys
from pathlib import Path
from tests.prompt_fixtures import candidate
from edged import config
from edged.spool.rows import Settlement
from edged.spool.queue import Spool

async def main():
    spool = Spool(Path(sys.argv[1]), config.Spool(), lambda row: Settlement("x", 1, b""))
    await spool.open()
    for group in range(100_000):
        await spool.accept([candidate(f"p{group}-{n}") for n in range(3)])
        print(group, flush=True)

asyncio.run(main())
"""


def test_sigkill_loses_no_acknowledged_prompt(tmp_path: Path) -> None:
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", COMMITTER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{here}:{here.parent}"},
    )
    assert process.stdout is not None
    with process, process.stdout as lines:
        acknowledged = [int(next(lines)) for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in lines]

    async def scenario(spool: Spool) -> None:
        kept = {row.id for row in spool.rows.values()}
        promised = {f"p{group}-{n}" for group in acknowledged for n in range(3)}
        assert promised <= kept
        assert len(kept) % 3 == 0, "a group is committed whole or not at all"

    in_spool(tmp_path, scenario)


class SpoolMachine(RuleBasedStateMachine):
    """Whatever the daemon does in whatever order, a prompt has one row and keeps its outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.loop = asyncio.new_event_loop()
        self.texts: dict[str, str] = {}
        self.rows: dict[int, Row] = {}
        self.outcomes: dict[str, Settlement] = {}
        self.open()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def open(self) -> None:
        self.spool = Spool(Path(self.folder.name), LIMITS, superseded)
        self.do(self.spool.open())

    @rule(id=st.sampled_from("abcd"), text=st.sampled_from("xy"), key=st.sampled_from([None, "k"]))
    def accept(self, id: str, text: str, key: str | None) -> None:
        (verdict,) = self.do(self.spool.accept([candidate(id, text, replace=key)]))
        if id not in self.texts:
            assert isinstance(verdict, Fresh)
            self.texts[id] = text
            for old in verdict.superseded:
                assert self.rows.pop(old.serial) == old
                assert (old.replace, old.state) == (key, State.QUEUED)
                self.outcomes[old.id] = superseded(old)
            self.rows[verdict.row.serial] = verdict.row
        elif text != self.texts[id]:
            assert verdict == Conflict(id)
        else:
            assert isinstance(verdict, Answered if id in self.outcomes else Known)

    @rule(share=SHARES)
    def start(self, share: list[int]) -> None:
        serials = [serial for serial in self.rows if serial in share]
        queued = [serial for serial in serials if self.rows[serial].state is State.QUEUED]
        assert list(self.do(self.spool.start(serials))) == queued
        self.change(queued, state=State.RUNNING)

    @rule(share=SHARES, event=st.sampled_from(["done", "expired"]))
    def settle(self, share: list[int], event: str) -> None:
        outcome = Settlement(event, 200, event.encode())
        self.do(self.spool.settle(dict.fromkeys(share, outcome)))
        for serial in share:
            if serial in self.rows:
                self.outcomes[self.rows.pop(serial).id] = outcome

    @rule(share=SHARES, engine_died=st.booleans())
    def requeue(self, share: list[int], engine_died: bool) -> None:
        ran = [serial for serial in self.running() if serial in share]
        self.do(self.spool.requeue(ran, engine_died=engine_died))
        for serial in ran:
            attempts = self.rows[serial].attempts + int(engine_died)
            self.change([serial], state=State.QUEUED, attempts=attempts)

    @rule(share=SHARES)
    def deliver(self, share: list[int]) -> None:
        self.do(self.spool.delivered(dict.fromkeys(share, True)))

    @rule()
    def reopen(self) -> None:
        self.do(self.spool.close())
        self.open()
        for serial in self.running():
            restarts = self.rows[serial].restarts + 1
            self.change([serial], state=State.QUEUED, restarts=restarts)

    @invariant()
    def the_unfinished_are_as_they_should_be(self) -> None:
        assert dict(self.spool.rows) == self.rows

    @invariant()
    def every_prompt_has_one_row_or_its_first_outcome(self) -> None:
        for id in self.texts:
            letter = self.do(self.spool.settled("c1", id))
            assert (letter is None) == (self.spool.rows.find("c1", id) is not None)
            assert (None if letter is None else letter.settlement) == self.outcomes.get(id)

    def running(self) -> list[int]:
        return [serial for serial, row in self.rows.items() if row.state is State.RUNNING]

    def change(self, serials: list[int], **more: Any) -> None:
        for serial in serials:
            self.rows[serial] = replace(self.rows[serial], **more)

    def teardown(self) -> None:
        self.do(self.spool.close())
        self.loop.close()
        self.folder.cleanup()


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(stateful_step_count=15)
