from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import ConfigError
from edged.power.budget import Budget, Limits, Smallest, State, checked, feasibility

STEP_S_MAX = 0.5


@pytest.mark.parametrize(
    ("budget", "word"),
    [
        (Budget(budget_w=0.0), "above 0"),
        (Budget(budget_w=math.nan), "above 0"),
        (Budget(budget_w=4.0, peak_w=3.0), "under budget_w"),
        (Budget(window_s=1.0, peak_window_s=2.0), "longer than window_s"),
        (Budget(peak_window_s=0.2), "shorter than a step"),
        (Budget(basis="over_idle"), "attach one"),
    ],
)
def test_a_budget_that_means_nothing_is_an_error_that_says_why(budget: Budget, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        checked(budget, STEP_S_MAX, metered=False)


def test_the_default_budget_is_four_watts_over_ten_seconds_and_a_peak_of_1_2_times_over_one() -> (
    None
):
    limits = checked(Budget(), STEP_S_MAX, metered=False).limits()
    assert limits == Limits(4.0, 10.0, 1.2 * 4.0, 1.0)


def test_over_idle_adds_the_calibrated_idle_to_both_limits() -> None:
    limits = Budget(basis="over_idle", idle_w=1.5, peak_w=5.0).limits()
    assert (limits.mean_w, limits.peak_w) == (5.5, 6.5)


@pytest.mark.parametrize(
    ("enforce", "board_known", "metered", "is_held"),
    [
        ("auto", False, False, False),
        ("auto", True, False, True),
        ("auto", False, True, True),
        ("always", False, False, True),
        ("never", True, True, False),
    ],
)
def test_auto_holds_the_budget_where_the_board_or_a_meter_is_known(
    enforce: str, board_known: bool, metered: bool, is_held: bool
) -> None:
    budget = Budget(enforce=enforce)  # type: ignore[arg-type]  # a parameter is a plain text
    assert budget.is_held(board_known=board_known, metered=metered) is is_held


def test_a_floor_over_the_budget_is_infeasible_and_names_what_to_switch_off() -> None:
    standing = feasibility(Budget(budget_w=3.0).limits(), 3.5, Smallest(5.0, 0.1, 3.6))
    assert standing.state is State.INFEASIBLE
    assert "HDMI" in standing.why


def test_a_step_over_the_peak_is_infeasible_peak() -> None:
    standing = feasibility(Budget(budget_w=4.0).limits(), 1.4, Smallest(5.0, 2.0, 1.6))
    assert standing.state is State.INFEASIBLE_PEAK


@given(st.floats(0.1, 20), st.floats(0, 10), st.floats(0, 10), st.floats(0.01, 3))
def test_feasible_means_that_one_step_fits_into_both_windows(
    budget_w: float, paused_w: float, above_w: float, length_s: float
) -> None:
    limits = Budget(budget_w=budget_w).limits()
    smallest = Smallest(paused_w + above_w, length_s, paused_w)
    fits = (
        smallest.mean_w(limits.window_s) <= limits.mean_w
        and smallest.mean_w(limits.peak_window_s) <= limits.peak_w
    )
    assert (feasibility(limits, paused_w, smallest).state is State.OK) is fits
