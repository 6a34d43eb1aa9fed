from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.costs import CLIENTS_MAX, JOULES, OFF_MAX, RATIO_MAX, Costs, Ratios
from tests.prompt_fixtures import row


@given(prompt_j=st.floats(1e-5, 1e-2), answer_j=st.floats(1e-5, 1e-1))
def test_the_costs_of_tokens_are_learned_from_answers(prompt_j: float, answer_j: float) -> None:
    costs = JOULES
    sizes = [(20, 100), (600, 10), (100, 100), (1000, 50)]
    for prompt, answer in sizes * 150:
        took_j = prompt * prompt_j + answer * answer_j
        costs = costs.learned(row(prompt_tokens=prompt, answer_tokens=answer), took_j)
    for prompt, answer in sizes:
        expected_j = prompt * prompt_j + answer * answer_j
        found_j = costs.forecast(row(prompt_tokens=prompt, answer_tokens=answer))
        assert found_j == pytest.approx(expected_j, rel=0.25)


def test_a_prompt_that_nobody_counted_costs_what_others_did() -> None:
    costs = replace(JOULES, mean=1.0).learned(row(), 2.0)
    assert costs.forecast(row()) == pytest.approx(1.2)


def test_one_answer_does_not_teach_ten_times_the_cost() -> None:
    one = row(prompt_tokens=100, answer_tokens=100)
    before = JOULES
    assert before.learned(one, 1e6).forecast(one) < OFF_MAX * before.forecast(one)


def test_an_answer_that_took_nothing_teaches_nothing() -> None:
    assert JOULES.learned(row(prompt_tokens=5, answer_tokens=5), 0.0) == JOULES


@given(st.integers(1, 1000), st.integers(1, 1000), st.floats(0.001, 100.0))
def test_the_first_answer_teaches_what_it_took(prompt: int, answer: int, took_s: float) -> None:
    one = row(prompt_tokens=prompt, answer_tokens=answer)
    assert Costs.of(one, took_s).forecast(one) == pytest.approx(took_s)


@given(st.floats(0.02, 50.0))
def test_what_a_client_takes_of_its_forecasts_is_learned(ratio: float) -> None:
    ratios = Ratios()
    for _ in range(40):
        ratios.learn("a", 3.0, 3.0 * ratio)
    assert ratios.of("a") == pytest.approx(ratio, rel=0.05)
    assert ratios.of("b") == 1.0


@given(st.floats(-1.0, 1e9))
def test_one_answer_does_not_teach_a_client_more_than_a_factor(measured_j: float) -> None:
    ratios = Ratios()
    ratios.learn("a", 1.0, measured_j)
    assert 1 / RATIO_MAX < ratios.of("a") < RATIO_MAX


def test_the_ratios_of_a_bounded_number_of_clients_are_remembered() -> None:
    ratios = Ratios()
    for number in range(CLIENTS_MAX + 1):
        ratios.learn(f"c{number}", 1.0, 2.0)
    assert ratios.of("c0") == 1.0
    assert ratios.of("c1") > 1.0
