"""Prompts that the budget cannot serve in time wait, are trimmed or refused, as they asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from edged.admission import check_grant
from edged.engine.frames import Prompt
from edged.errors import Refusal
from edged.power.grant import Granted
from edged.spool.rows import Job, State
from tests.board_fixtures import Board, board, virtual_board
from tests.virtual_time import VirtualLoop, config_of, run_virtually

JOB = Job(Prompt(payload="x"), prompt_tokens=300, answer_tokens=60)
LATE = Granted(0, 0, 20.0, 9.0, "the answer needs 9.0 s and 20.0 J, 5.0 s are left", 3.2)
IN_TIME = Granted(1024, 8, 20.0, 3.0)


@pytest.mark.parametrize(
    ("granted", "on_long"),
    [(None, "refuse"), (None, "trim"), (IN_TIME, "refuse"), (IN_TIME, "trim"), (LATE, "wait")],
)
def test_what_is_in_time_or_waits_or_nobody_forecasts_is_taken(
    granted: Granted | None, on_long: str
) -> None:
    check_grant(JOB, granted, on_long)


@pytest.mark.parametrize("on_long", ["refuse", "trim"])
def test_what_is_late_and_does_not_wait_is_refused_with_joules_and_a_time(on_long: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_grant(JOB, LATE, on_long)
    assert (refused.value.reason, refused.value.retry_after_s) == ("too_long", 4.0)
    assert "9.0 s and 20.0 J" in refused.value.detail


async def taught(one: Board) -> None:
    """Let the board learn how fast it is."""
    await asyncio.sleep(10.0)
    await one.saturate(one.loop.time() + 20.0)
    await asyncio.sleep(60.0)


def counted(prompt_tokens: int, answer_tokens: int) -> Job:
    schema = {"type": "string", "minLength": answer_tokens - 2, "maxLength": answer_tokens - 2}
    prompt = Prompt(payload="x" * prompt_tokens)
    return Job(prompt, json.dumps(schema), prompt_tokens=prompt_tokens, answer_tokens=answer_tokens)


@pytest.mark.model
def test_nobody_is_refused_before_the_paces_are_known(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> Granted | None:
        async with board(loop, config_of(tmp_path), virtual_board(loop)) as one:
            return one.dispatch.grants.granted(counted(900, 100), 0.1, 0)

    assert run_virtually(play) is None


@pytest.mark.model
def test_a_prompt_is_forecast_with_its_joules_and_seconds(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[Granted | None, Granted | None, float]:
        async with board(loop, config_of(tmp_path), virtual_board(loop)) as one:
            await taught(one)
            short = one.dispatch.grants.granted(counted(300, 60), 0.5, 0)
            whole = one.dispatch.grants.granted(counted(300, 60), 300.0, 0)
            began_s = loop.time()
            await one.accept(99_999, job=counted(300, 60))
            while one.spool.rows:  # noqa: ASYNC110  # virtual time has no event for an empty spool
                await asyncio.sleep(0.05)
            return short, whole, loop.time() - began_s

    short, whole, took_s = run_virtually(play)
    assert short is not None
    assert short.context_tokens == 0
    assert "0.5 s are left" in (short.throttled or "")
    assert whole is not None
    assert whole.context_tokens == 1024
    # The forecast is of a full batch; this one is alone.
    assert whole.seconds / 12 < took_s < 1.2 * whole.seconds


@pytest.mark.model
def test_a_late_prompt_waits_for_the_others_and_runs_when_it_is_alone(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> list[frozenset[str]]:
        config = config_of(tmp_path, model={"sequences": 2})
        async with board(loop, config, virtual_board(loop)) as one:
            await taught(one)
            for number in range(4):
                await one.accept(91_000 + number)
            # Most urgent, but by the forecast its answer takes longer than its deadline leaves.
            late = counted(300, 700)
            await one.accept(90_000, job=late, ttl_s=20.0, id="late", priority=9)
            seen = []
            for _ in range(600):
                await asyncio.sleep(0.2)
                rows = one.spool.rows.values()
                seen.append(frozenset(row.id for row in rows if row.state is State.RUNNING))
            return seen

    seen = run_virtually(play)
    with_late = [ids for ids in seen if "late" in ids]
    assert with_late
    assert set(with_late) == {frozenset({"late"})}
    assert seen[-1] == frozenset()
