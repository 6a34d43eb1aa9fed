"""What the broker repeats of prompts without ids is known by its packet id, and nothing else is.

Method: the spool alone; `duplicate` stands for DUP. With a broker: tests/test_daemon_faults.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.spool.queue import Spool
from edged.spool.rows import Answered, Candidate, Fresh, Known
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import accept, answered, fresh, in_spool


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
        (row,) = await fresh(spool, board_given("b-1-1"))
        await spool.settle({row.serial: DONE})
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
        board_given("b-1-2", duplicate=True, packet=2),
        board_given("b-1-2", duplicate=True, client="c2"),
        candidate("p9", "hi", duplicate=True),
    ],
    ids=["no DUP", "other text", "other packet", "other client", "own id"],
)
def test_only_the_brokers_repeat_counts_as_the_same(tmp_path: Path, again: Candidate) -> None:
    async def scenario(spool: Spool) -> None:
        await fresh(spool, board_given("b-1-1"))
        (verdict,) = await accept(spool, again)
        assert isinstance(verdict, Fresh)

    in_spool(tmp_path, scenario)


def test_what_the_broker_repeats_is_not_a_prompt_whose_outcome_it_acknowledged(
    tmp_path: Path,
) -> None:
    """It read our PUBACK of that prompt before, and gives the packet id to another one."""

    async def scenario(spool: Spool) -> None:
        await answered(spool, board_given("b-1-1"))
        (verdict,) = await accept(spool, board_given("b-2-1", duplicate=True))
        assert isinstance(verdict, Fresh)

    in_spool(tmp_path, scenario)


def test_a_device_may_ask_again_under_the_id_that_the_board_gave(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, board_given("b-1-1"))
        (verdict,) = await accept(spool, candidate("b-1-1", packet=9))
        assert verdict == Known(row)

    in_spool(tmp_path, scenario)
