"""Quotas at the spool's door: who is taken, and when the same prompt would be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edged.config.tables import Quota
from edged.engine.frames import Prompt
from edged.entry import Charged, Entry
from edged.errors import Refusal
from edged.grants import Grants
from edged.line import Line
from edged.quota import Quotas
from edged.spool.queue import Spool
from edged.spool.rows import Candidate, Fresh, Job, Row
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import fresh, in_spool


class Unheld(Grants):
    """No power budget is held."""

    def __init__(self) -> None:
        """Know no engine."""


def entry(spool: Spool, quota: Quota) -> tuple[Entry, Line]:
    """Return a spool's door, where each client has this quota, and the line behind it."""
    line = Line(spool, Unheld())
    return Entry(spool, line, Quotas(lambda client: quota, spool.clock.now_s)), line


def test_a_client_over_its_number_waits_for_a_round_of_all_clients(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        door, line = entry(spool, Quota(outstanding_max=1))
        waiting = [candidate("p", client=f"c{number}") for number in range(100)]
        rows = await fresh(spool, *waiting)
        line.learn(rows[0], 1.0, 0.2)
        (judged,) = await door.judge([candidate("new", client="c0")], 10)
        assert isinstance(judged, Refusal)
        assert judged.retry_after_s == 2  # a hundred answers of 0.2 s, ten at a time

    in_spool(tmp_path, scenario)


async def taken(door: Entry, spool: Spool, ids: Sequence[str]) -> list[Row]:
    """Return the rows of prompts that are taken within their quota."""
    charged = [one for one in await door.judge(prompts(ids), 1) if isinstance(one, Charged)]
    verdicts = await spool.accept([one.candidate for one in charged])
    door.settle(charged, verdicts)
    return [verdict.row for verdict in verdicts if isinstance(verdict, Fresh)]


def prompts(ids: Sequence[str]) -> list[Candidate]:
    """Return prompts that take 100 tokens each."""
    job = Job(Prompt(payload="hi"), prompt_tokens=40, answer_tokens=60)
    return [candidate(id, job=job) for id in ids]


async def refused(door: Entry, ids: Sequence[str]) -> list[str]:
    """Return which prompts of a group are over their client's quota."""
    judged = await door.judge(prompts(ids), 1)
    return [id for id, one in zip(ids, judged, strict=True) if isinstance(one, Refusal)]


BOUNDS = [Quota(outstanding_max=4), Quota(tokens_per_minute=400.0)]


@pytest.mark.parametrize("quota", BOUNDS)
def test_copies_of_waiting_prompts_take_nothing_from_the_others_of_their_group(
    tmp_path: Path, quota: Quota
) -> None:
    async def scenario(spool: Spool) -> None:
        door, _ = entry(spool, quota)
        await taken(door, spool, ["p1", "p2"])
        assert await refused(door, ["p1", "p2", "q1", "q2", "q3"]) == ["q3"]

    in_spool(tmp_path, scenario)


@pytest.mark.parametrize("quota", BOUNDS)
def test_copies_of_answered_prompts_take_nothing_from_the_others_of_their_group(
    tmp_path: Path, quota: Quota
) -> None:
    async def scenario(spool: Spool) -> None:
        door, _ = entry(spool, quota)
        for row in await taken(door, spool, ["p1", "p2", "p3"]):
            await spool.settle({row.serial: DONE})
        left = 4 if quota.tokens_per_minute is None else 1  # the tokens of the answers are gone
        fresh_ids = [f"q{number}" for number in range(left)]
        assert await refused(door, ["p1", "p2", *fresh_ids, "p3", "over"]) == ["over"]

    in_spool(tmp_path, scenario)


def test_a_copy_beside_its_prompt_in_one_group_takes_nothing(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        door, _ = entry(spool, Quota(outstanding_max=2))
        assert await refused(door, ["p1", "p1", "p2", "p1", "p3"]) == ["p3"]

    in_spool(tmp_path, scenario)


def test_a_group_that_is_judged_anew_is_charged_once(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        door, _ = entry(spool, Quota(tokens_per_minute=400.0))
        assert await refused(door, ["p1", "p2", "p3", "p4", "p5"]) == ["p5"]
        (judged,) = await door.judge(prompts(["p6"]), 1)
        assert isinstance(judged, Refusal)
        assert judged.retry_after_s == 15  # a quarter of a minute's tokens

    in_spool(tmp_path, scenario)
