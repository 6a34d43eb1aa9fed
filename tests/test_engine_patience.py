"""How long an engine may be silent, and how often it may end."""

from __future__ import annotations

import pytest

from edged import config
from edged.engine.patience import (
    ENDS_MAX,
    HANG_S,
    HANG_S_UNKNOWN,
    HANG_TIMES,
    REMEMBERED,
    REST_S,
    Patience,
    Restarts,
)

STEP_S_MAX = 0.5
SIM = config.Engine(backend="sim", step_s_max=STEP_S_MAX)


def patience(*steps_s: float, engine: config.Engine = SIM) -> Patience:
    found = Patience(engine)
    for step_s in steps_s:
        found.stepped(step_s)
    return found


def test_a_first_step_may_wait_for_the_disk() -> None:
    assert patience().limit_s == HANG_S_UNKNOWN


def test_then_silence_of_five_seconds_and_a_step_is_a_hang() -> None:
    assert patience(0.01, 0.02).limit_s == HANG_S + STEP_S_MAX


def test_a_machine_whose_steps_are_slow_gets_more_time() -> None:
    assert patience(0.01, 2.0, 0.01).limit_s == HANG_S + HANG_TIMES * 2.0


def test_a_slow_step_is_forgotten_in_time() -> None:
    assert patience(2.0, *[0.01] * REMEMBERED).limit_s == HANG_S + STEP_S_MAX


def test_after_a_rest_the_next_step_is_a_first_one() -> None:
    rested = patience(0.01)
    rested.forget()
    assert rested.limit_s == HANG_S_UNKNOWN


def test_prefill_of_the_npu_runtime_is_left_to_its_worker() -> None:
    npu = config.Engine(backend="rkllm", step_s_max=STEP_S_MAX)
    assert patience(0.01, engine=npu).limit_s == HANG_S_UNKNOWN


def ended(times: int, served_s: float = 0.0) -> Restarts:
    restarts = Restarts()
    for _ in range(times):
        restarts.ended(served_s)
    return restarts


@pytest.mark.parametrize(("times", "are_spent"), [(ENDS_MAX - 1, False), (ENDS_MAX, True)])
def test_an_engine_that_ends_again_and_again_is_no_accident(times: int, are_spent: bool) -> None:
    assert ended(times).are_spent is are_spent


def test_an_answer_in_between_says_that_it_serves() -> None:
    restarts = ended(ENDS_MAX - 1)
    restarts.answered()
    restarts.ended(0.0)
    assert not restarts.are_spent


def test_so_does_a_minute_of_readiness() -> None:
    assert not ended(ENDS_MAX, REST_S + 1).are_spent
