"""RKLLM under a power budget: a permit for the whole prompt, then one for each token."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.engine.frames import Cancel, Go, Limits, Wish
from edged.engine.gate import NOTHING
from tests.broker import Mosquitto
from tests.daemon_fixtures import BOARD, Asker, Daemon
from tests.engine_fixtures import work
from tests.golden_tree import tree
from tests.rkllm_engine_fixtures import EVENT, GOOD, Board, Start
from tests.rkllm_engine_fixtures import start as start
from tests.rkllm_fixtures import Rule, rkllm_tables, say, stub_library

pytestmark = pytest.mark.model

PACED = Limits(1024, 1, 60.0, is_paced=True)


def permitted(board: Board, id: str, most: int = 200) -> list[Wish]:
    """Grant each wish until the answer is there, or so many were granted; return them."""
    granted: list[Wish] = []
    while id not in board.daemon.outcomes and len(granted) < most:
        frame = board.daemon.receive()
        if isinstance(frame, Wish) and frame != NOTHING:
            granted.append(frame)
            board.daemon.send(Go(frame.tokens, frame.sequences, 1))
    return granted


def test_a_paced_runtime_asks_for_the_prompt_and_then_for_each_token(start: Start) -> None:
    with start(say("x", "abcdefghi")) as board:
        board.daemon.send(PACED, work("a", "x" * 40))
        granted = permitted(board, "a")
        outcome = board.daemon.outcome("a")
        assert board.daemon.until(Wish) == NOTHING
    assert (outcome.finish, outcome.text) == ("stop", "abcdefghi")
    assert granted == [Wish(40, 1), *[Wish(1, 1)] * 3]


def test_without_a_permit_nothing_is_computed_and_nothing_is_held_to_be_hung(start: Start) -> None:
    with start(token_s_max=0.2) as board:
        board.daemon.send(PACED, work("a", "x" * 40, max_tokens=20))
        assert permitted(board, "a", most=2) == [Wish(40, 1), Wish(1, 1)]
        assert board.daemon.until(Wish) == Wish(1, 1)
        board.daemon.until_silent(0.5)
        assert sum(step.decode_tokens for step in board.daemon.steps) == 2
        board.daemon.send(Go(1, 1, 1000))
        assert board.daemon.outcome("a").output_tokens == 20


def test_the_wait_for_a_permit_is_nobody_s_step(start: Start) -> None:
    with start() as board:
        board.daemon.send(PACED, work("a", "x" * 40, max_tokens=2))
        permitted(board, "a", most=1)
        board.daemon.until(Wish)
        board.daemon.until_silent(0.5)
        board.daemon.send(Go(1, 1, 2))
        assert board.daemon.outcome("a").finish == "length"
    assert max(step.step_s for step in board.daemon.steps) < 0.5


def test_a_second_run_is_asked_for_like_the_first(start: Start) -> None:
    with start(say("JSON", "no", GOOD)) as board:
        board.daemon.send(PACED, work("a", schema=EVENT))
        granted = permitted(board, "a")
        assert board.daemon.outcome("a").finish == "schema"
    prompts = [wish for wish in granted if wish.tokens > 1]
    assert len(prompts) == 2
    assert prompts[0] == prompts[1]


def test_what_is_cancelled_before_its_second_run_may_begin_ends_at_once(start: Start) -> None:
    with start(say("JSON", "no", GOOD)) as board:
        board.daemon.send(PACED, work("a", schema=EVENT))
        permitted(board, "a", most=2)
        assert board.daemon.until(Wish).tokens > 1
        board.daemon.send(Cancel("a"))
        assert board.daemon.outcome("a").finish == "cancelled"
        board.daemon.send(work("b", max_tokens=2))
        permitted(board, "b")
        assert board.daemon.outcome("b").finish == "length"


@pytest.mark.parametrize("mode", ["error", "empty", "unfinished"])
def test_a_permit_for_a_run_that_came_to_nothing_is_given_back(start: Start, mode: str) -> None:
    with start(Rule("bad", mode, ("text",))) as board:
        board.daemon.send(PACED, work("a", "bad"))
        permitted(board, "a")
        assert board.daemon.outcome("a").finish == "failed"
        assert board.daemon.until(Wish) == NOTHING


@pytest.mark.broker
@pytest.mark.slow
def test_a_board_that_holds_its_budget_answers_through_rkllm(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rules = [say("JSON", "no", GOOD), say("tell", "all is well")]
    sections = rkllm_tables(tmp_path, stub_library(tmp_path_factory.getbasetemp()), rules)
    sections["power"] = {"sysfs": str(tree(tmp_path / "sys", "rock_5b")), "budget_w": 2.5}
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Daemon(tmp_path / "d", broker, backend="rkllm", sections=sections) as daemon,
        Asker(broker) as device,
    ):
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask({"prompt": "tell"}, "free")
        device.ask({"prompt": "x", "schema": EVENT}, "held")
        answers = [device.outcome("free"), device.outcome("held")]
        device.subscribe(f"{BOARD}/state")
        power = device.next(lambda reply: "power" in reply)["power"]
    assert [one["event"] for one in answers] == ["done", "done"]
    assert all(one["energy"]["j"] > 0 for one in answers)
    assert power["state"] not in ("off", "blind")
