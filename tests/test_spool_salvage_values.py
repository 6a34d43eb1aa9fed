"""A value that is lost or makes no sense costs no more than itself: the spool goes on without it.

Method: one value of a closed spool is changed past the schema's rules, or the page below it lost.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edged.engine.frames import Prompt
from edged.spool.queue import Spool
from edged.spool.rows import Answered, Job, State
from edged.topics import is_publishable
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.salvage_fixtures import PAGE, copied, prompt
from tests.salvage_fixtures import folded as folded
from tests.spool_fixtures import SMALL, accept, fresh, in_spool


def changed(path: Path, statement: str) -> None:
    """Change a closed spool past its rules, as only a disk does."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute("PRAGMA writable_schema = ON")
        database.execute(statement)
        database.commit()


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


@pytest.mark.parametrize("topic", ["res/#1/p3", "res/+1/p3", "$es/c1/p3", ""])
def test_a_reply_topic_that_the_disk_made_none_costs_the_others_nothing(
    folded: Path, tmp_path: Path, topic: str
) -> None:
    """What is published to such a topic ends the daemon; where it was to go nobody knows."""
    path = copied(folded, tmp_path)
    changed(path, f"UPDATE prompt SET topic = '{topic}'")

    async def scenario(spool: Spool) -> None:
        told = [row.destination for row in spool.rows.values()]
        told += [letter.destination for letter in await spool.letters(0, 9)]
        assert [is_publishable(to.topic) for to in told] == [True] * len(told) != []

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
