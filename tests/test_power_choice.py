from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.soc import RK3588, SOCS, operating_points
from edged.power.choice import (
    HYSTERESIS,
    LASTING_HYSTERESIS,
    LASTING_PATIENCE,
    PATIENCE,
    PAUSE_PARTS,
    Choice,
    Terms,
    best,
    ladder,
    steady_pause_s,
    throughput,
)
from edged.power.forecast import Forecast, Learned, Mix

LONGEST_S = 0.45
FORECAST = Forecast(RK3588, operating_points(RK3588), Learned())
PLACES = st.integers(0, len(FORECAST.points) - 1)


def terms(aim_w: float, pause_s: float = LONGEST_S) -> Terms:
    return Terms(aim_w, 1.2 * aim_w, 1.0, Mix(4.0, 8), 0.5, pause_s)


@given(PLACES, st.floats(2.0, 6.0))
def test_steady_pauses_cost_no_more_tokens_than_they_may(place: int, aim_w: float) -> None:
    pause_s = steady_pause_s(FORECAST, place, terms(aim_w), 0.004)
    most_s, _ = throughput(FORECAST, place, terms(aim_w))
    tokens_s, _ = throughput(FORECAST, place, terms(aim_w, pause_s))
    assert pause_s <= LONGEST_S
    assert tokens_s >= 0.996 * most_s


def test_where_no_pause_is_needed_it_may_be_the_shortest() -> None:
    place = len(FORECAST.points) - 1
    assert steady_pause_s(FORECAST, place, terms(9.0), 0.004) == PAUSE_PARTS[0] * LONGEST_S


def test_where_nothing_may_be_lost_pauses_are_the_longest() -> None:
    assert steady_pause_s(FORECAST, len(FORECAST.points) - 1, terms(9.0), 0.0) == LONGEST_S


@pytest.mark.parametrize("name", SOCS)
@pytest.mark.parametrize("aim_w", [3.0, 4.0, 6.0])
def test_the_best_point_of_a_usual_mix_is_on_the_ladder(name: str, aim_w: float) -> None:
    forecast = Forecast(SOCS[name], operating_points(SOCS[name]), Learned())
    speeds = [throughput(forecast, place, terms(aim_w))[0] for place in range(len(forecast.points))]
    best_s = max(speeds[place] for place in ladder(forecast, 0.5, LONGEST_S))
    assert best_s >= 0.97 * max(speeds)


def place_of(share: float) -> tuple[int, int]:
    """Return the best place at 3 W, and one that gives at least this share of its tokens."""
    speeds = [throughput(FORECAST, place, terms(3.0))[0] for place in range(len(FORECAST.points))]
    most_s = max(speeds)
    wanted = min(speed for speed in speeds if speed >= share * most_s)
    return speeds.index(most_s), speeds.index(wanted)


def kept_for(found: int, current: int) -> int:
    """Return how many choices in a row keep `current` beside `found`."""
    tokens_s, duty = throughput(FORECAST, current, terms(3.0))
    choice, now_s = Choice(current, duty, tokens_s, since_s=0.0), 10.0
    while choice.point == current and now_s < 200.0:
        choice = best(FORECAST, (found, current), terms(3.0), choice, now_s)
        now_s += 1.0
    return round(now_s - 10.0)


def test_a_clearly_better_point_is_taken_after_three_seconds() -> None:
    assert kept_for(*place_of(1 / (1 + 2 * HYSTERESIS))) == PATIENCE


def test_a_point_that_is_a_little_better_is_taken_when_it_stays_so() -> None:
    assert kept_for(*place_of(1 / (1 + 0.8 * HYSTERESIS))) == LASTING_PATIENCE


def test_for_less_than_the_gains_noise_no_point_is_changed() -> None:
    assert kept_for(*place_of(1 / (1 + 0.8 * LASTING_HYSTERESIS))) == 190


def test_a_small_advantage_that_comes_and_goes_changes_nothing() -> None:
    found, current = place_of(1 / (1 + 0.8 * HYSTERESIS))
    tokens_s, duty = throughput(FORECAST, current, terms(3.0))
    choice = Choice(current, duty, tokens_s, since_s=0.0)
    for second in range(500):
        places = (current,) if second % (LASTING_PATIENCE // 2) == 0 else (found, current)
        choice = best(FORECAST, places, terms(3.0), choice, 10.0 + second)
    assert choice.point == current


@pytest.mark.parametrize("peak_w", [2.4, 3.0, 3.6, 4.8])
def test_a_chunk_fits_under_the_peak_with_a_pause_before_it(peak_w: float) -> None:
    point = FORECAST.points[-1]
    step_s = FORECAST.step_s_max(point, 1.0, peak_w, 1.0)
    paused_w = FORECAST.paused_w(point, 1.0)
    drawn_j = step_s * FORECAST.step_w(point, "prefill") + (1.0 - step_s) * paused_w
    assert 0 < step_s <= 1.0
    assert step_s == 1.0 or drawn_j <= peak_w
