from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.soc import RK3588, SOCS, operating_points
from edged.power.choice import PAUSE_PARTS, Terms, ladder, steady_pause_s, throughput
from edged.power.forecast import Forecast, Learned, Mix

LONGEST_S = 0.45
FORECAST = Forecast(RK3588, operating_points(RK3588), Learned())
PLACES = st.integers(0, len(FORECAST.points) - 1)


def terms(aim_w: float, pause_s: float = LONGEST_S) -> Terms:
    return Terms(aim_w, 1.2 * aim_w, Mix(4.0, 8), 0.5, pause_s)


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
