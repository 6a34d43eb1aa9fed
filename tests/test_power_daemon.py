"""The budget is held by the daemon's own code, on the virtual board, in virtual time.

Goal: what a board draws stays under its limits while the real dispatch, governor, spool and step
loop answer a queue that never empties. Method: the plant's truth judges, not what the daemon says.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from edged.bench.power_judge import Figures, Span, judged
from edged.board.soc import KNOBS, SOCS
from edged.dispatch import moment
from edged.power.account import Joules, from_note
from edged.power.budget import BLIND_DUTY, Standing
from edged.power.outfit import Parts
from edged.spool.rows import State
from tests.board_fixtures import LEAD_S, board, note_in, virtual_board
from tests.virtual_time import VirtualLoop, config_of, run_virtually

# The whole daemon runs in each of them.
pytestmark = pytest.mark.model


def saturated(folder: Path, name: str, domains: frozenset[str], for_s: float) -> Figures:
    """Return the figures of a board whose queue never empties."""
    config = config_of(folder, model={"context_tokens": 1024, "sequences": 8})

    async def play(loop: VirtualLoop) -> Figures:
        live = virtual_board(loop, name, domains)
        async with board(loop, config, live) as one:
            await asyncio.sleep(LEAD_S)
            await one.saturate(LEAD_S + for_s)
            end_s = loop.time()
            tokens = 60 * one.diary.outcomes["done"]
            live.run(None)
            return judged(live.board, [Span(LEAD_S, end_s, one.power.law.limits)], tokens)

    return run_virtually(play)


@pytest.mark.parametrize("name", SOCS)
@pytest.mark.parametrize("domains", [KNOBS, frozenset[str]()], ids=["clocks", "pauses alone"])
def test_the_daemon_holds_the_budget_under_a_full_queue(
    name: str, domains: frozenset[str], tmp_path: Path
) -> None:
    figures = saturated(tmp_path, name, domains, 60.0)
    assert figures.windows_over_share == 0
    assert figures.peak_over_share == 0
    assert figures.useful_tokens > 0


@pytest.mark.slow
def test_the_daemon_holds_the_budget_for_an_hour_under_a_full_queue(tmp_path: Path) -> None:
    figures = saturated(tmp_path, "rk3588", KNOBS, 3600.0)
    assert figures.windows_over_share == 0
    assert figures.peak_over_share == 0
    assert figures.mean_w >= 0.95 * 4.0


def test_without_enforcement_the_same_board_goes_over_the_same_budget(tmp_path: Path) -> None:
    config = config_of(tmp_path, power={"enforce": "never"})

    async def play(loop: VirtualLoop) -> tuple[Figures, str]:
        live = virtual_board(loop)
        async with board(loop, config, live) as one:
            await one.saturate(30.0)
            span = Span(10.0, loop.time(), one.power.law.limits)
            live.run(None)
            return judged(live.board, [span], 1), one.power.watts().standing.state

    figures, state = run_virtually(play)
    assert figures.windows_over_share > 0.9
    assert state == "off"


def test_a_budget_under_the_idle_floor_starts_nothing_and_says_so(tmp_path: Path) -> None:
    config = config_of(tmp_path, power={"budget_w": 1.2})

    async def play(loop: VirtualLoop) -> tuple[int, Standing]:
        async with board(loop, config, virtual_board(loop)) as one:
            await one.saturate(30.0)
            return one.diary.outcomes["done"], one.power.watts().standing

    done, standing = run_virtually(play)
    assert done == 0
    assert standing.state == "infeasible"
    assert "switch off" in standing.why


def test_a_peak_under_the_smallest_step_is_said(tmp_path: Path) -> None:
    limits = {"budget_w": 1.9, "peak_w": 1.9, "window_s": 60}
    config = config_of(tmp_path, power=limits)

    async def play(loop: VirtualLoop) -> str:
        async with board(loop, config, virtual_board(loop, domains=frozenset())) as one:
            await one.saturate(20.0)
            return one.power.watts().standing.state

    assert run_virtually(play) in ("infeasible", "infeasible_peak")


def test_without_a_board_and_a_meter_steps_run_a_tenth_of_the_time(tmp_path: Path) -> None:
    config = config_of(tmp_path, power={"enforce": "always"})

    async def play(loop: VirtualLoop) -> tuple[float, str]:
        live = virtual_board(loop)
        async with board(loop, config, live, Parts(runs=live.run)) as one:
            await one.saturate(60.0)
            busy_s = sum(
                step.end_s - step.start_s for step in one.power.law._stretches if step.phase
            )
            span_s = one.power.law._stretches[-1].end_s - one.power.law._stretches[0].start_s
            return busy_s / span_s, one.power.watts().standing.state

    share, state = run_virtually(play)
    assert state == "blind"
    assert 0 < share <= 1.2 * BLIND_DUTY


def test_a_full_board_is_throttled_and_its_answers_say_why(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[str, dict[str, Any]]:
        async with board(loop, config_of(tmp_path), virtual_board(loop)) as one:
            await one.saturate(45.0)
            letter = (await one.spool.letters(0, 999))[-1]
            return one.power.watts().standing.state, json.loads(letter.settlement.body)

    state, reply = run_virtually(play)
    assert state == "throttled"
    assert "MHz" in reply["limits"]["throttled"]
    assert (reply["energy"]["source"], reply["energy"]["settled"]) == ("simulated", False)


def test_with_watts_to_spare_nothing_is_throttled(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[str, dict[str, Any]]:
        config = config_of(tmp_path, power={"budget_w": 9.0})
        async with board(loop, config, virtual_board(loop)) as one:
            await one.saturate(30.0)
            letter = (await one.spool.letters(0, 999))[-1]
            return one.power.watts().standing.state, json.loads(letter.settlement.body)

    state, reply = run_virtually(play)
    assert (state, reply["limits"]["throttled"]) == ("ok", False)


def test_every_joule_is_an_answer_s_overhead_or_idle(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[float, Joules, list[dict[str, Any]], float]:
        live = virtual_board(loop)
        async with board(loop, config_of(tmp_path), live) as one:
            await asyncio.sleep(5.0)
            for number in range(20):
                await one.accept(number)
            await asyncio.sleep(2.0)
            row = next(row for row in one.spool.rows.values() if row.state is State.RUNNING)
            await one.dispatch.cancel([row])
            await asyncio.sleep(90.0)
            one.power.count()
            letters = await one.spool.letters(0, 999)
            bodies = [json.loads(letter.settlement.body) for letter in letters]
            live.run(None)
            counted = one.power.law.counted(loop.time()).counter_j
            return counted, one.power.account.joules, bodies, live.board.joules[-1]

    counted_j, joules, replies, true_j = run_virtually(play)
    told_j = sum(reply["energy"]["j"] for reply in replies)
    assert {reply["event"] for reply in replies} == {"done", "cancelled"}
    assert len(replies) == 20
    assert joules.outcomes_j == pytest.approx(told_j, abs=1e-4 * len(replies))
    assert joules.counter_j == pytest.approx(counted_j)
    assert counted_j == pytest.approx(true_j, rel=0.01)
    assert 0 < joules.overhead_j < 0.2 * joules.counter_j


def test_the_books_and_what_was_learned_outlive_a_restart(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> tuple[Joules, float | None]:
        async with board(loop, config, virtual_board(loop, seed=3)) as one:
            await asyncio.sleep(12.0)
            await one.saturate(30.0)
            await one.dispatch.keep_note()
            kept = from_note(note_in(config.state_dir), moment(one.spool.clock), 0.0)
            assert kept == one.power.account.joules
            return kept, one.power.law.forecast.learned.floor_w

    async def again(loop: VirtualLoop) -> tuple[Joules, float | None]:
        async with board(loop, config, virtual_board(loop, seed=3)) as one:
            kept = from_note(one.spool.note, moment(one.spool.clock), 0.0)
            return kept, one.power.law.forecast.learned.floor_w

    assert run_virtually(play) == run_virtually(again)
