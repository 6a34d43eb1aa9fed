"""Where a calibration stops, what it makes of what it sees, and what it shows."""

from __future__ import annotations

import pytest

from edged.board.meters.calibration import Pair
from edged.board.soc import RK3588, on_cpu, operating_points
from edged.power.choice import ladder
from edged.power.forecast import Forecast, Learned
from edged.power.gauge import PERIOD_S_MAX
from edged.power.table import Key
from edged.sweep import screen
from edged.sweep.plan import Plan, Stop, Wanted, plan, thinned
from edged.sweep.sight import (
    FEW_POINTS_SHARE,
    NothingSeen,
    Sight,
    Stepped,
    Taken,
    seen,
    table_of,
)

SOC = on_cpu(RK3588)
FORECAST = Forecast(SOC, operating_points(SOC, frozenset({"cpu", "ddr"})), Learned())


def planned_for(period_s: float, wanted: Wanted | None = None) -> Plan:
    worth = [FORECAST.points[place] for place in ladder(FORECAST, 0.5, 0.45)]
    return plan(worth, period_s, wanted or Wanted())


def test_a_chip_s_calibration_takes_ten_minutes_at_most() -> None:
    assert planned_for(PERIOD_S_MAX).left_s(0) <= 600


def test_it_begins_idle_then_goes_from_the_cheapest_point_to_the_dearest() -> None:
    todo = planned_for(PERIOD_S_MAX)
    draws_w = {point.clocks: point.decode_w for point in FORECAST.points}
    assert todo.stops[0] == Stop()
    watts = [draws_w[stop.clocks] for stop in todo.stops[1:] if stop.clocks is not None]
    assert watts == sorted(watts)
    assert {stop.phase for stop in todo.stops[1:]} == {"prefill", "decode"}


@pytest.mark.parametrize("period_s", [10.0, 60.0, 300.0])
def test_a_slow_meter_makes_stops_longer_and_fewer_and_the_seconds_say_so(period_s: float) -> None:
    slow, fast = planned_for(period_s), planned_for(PERIOD_S_MAX)
    assert slow.dwell_s >= 2 * period_s
    assert len(slow.stops) < len(fast.stops)
    assert slow.left_s(0) >= len(slow.stops) * 2 * period_s


def test_no_two_stops_have_the_same_words() -> None:
    npu = Forecast(RK3588, operating_points(RK3588), Learned())
    worth = [npu.points[place] for place in ladder(npu, 0.5, 0.45)]
    words = [stop.words for stop in plan(worth, PERIOD_S_MAX, Wanted()).stops]
    assert len({point.clocks.npu_hz for point in worth}) > 1
    assert len(set(words)) == len(words)
    assert max(map(len, words)) <= screen.NAME_CHARS


def test_seconds_left_fall_to_nothing() -> None:
    todo = planned_for(PERIOD_S_MAX)
    left = [todo.left_s(done) for done in range(len(todo.stops) + 1)]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_a_thinned_ladder_keeps_its_dearest_point(most: int) -> None:
    points = FORECAST.points[:20]
    found = thinned(points, most)
    assert len(found) == min(most, 20)
    assert found[-1] == points[-1]


AT_WORK = Stop("decode", FORECAST.points[-1].clocks)
STEP = Stepped(0.05, 0, 4)


def readings(*watts: float) -> list[Taken]:
    return [Taken(one, one / 2, 0.02) for one in watts]


def test_a_noisy_meter_widens_the_band_of_a_row() -> None:
    quiet = seen(AT_WORK, readings(4.0, 4.0, 4.0, 4.0), [STEP])
    noisy = seen(AT_WORK, readings(3.0, 5.0, 3.0, 5.0), [STEP])
    assert quiet.error_share == 0.02
    assert noisy.error_share > 0.2


def test_steps_of_the_other_phase_are_left_out() -> None:
    sight = seen(AT_WORK, readings(4.0, 4.0), [STEP, Stepped(0.9, 64, 3)])
    assert (sight.tokens, sight.step_s) == (4.0, 0.05)


def test_a_stop_without_a_step_is_no_figure() -> None:
    with pytest.raises(NothingSeen, match="no decode step ended"):
        seen(AT_WORK, readings(4.0, 4.0), [Stepped(0.9, 64, 0)])


def test_readings_become_a_few_pairs_of_means() -> None:
    sight = seen(Stop(), readings(*[2.0] * 10), [])
    assert sight.pairs == (Pair(1.0, 2.0, 0.02),) * 4


def test_a_meter_that_sees_no_work_makes_no_table() -> None:
    sights = [Sight(Stop(), 2.0), Sight(AT_WORK, 1.9, 0.02, 4.0, 0.05)]
    with pytest.raises(NothingSeen, match="the meter does not see this board's work"):
        table_of(sights, Key("b", "k", "m"), "dock-mini", "")


def test_nothing_but_idling_makes_no_table() -> None:
    sights = [Sight(Stop(), 2.0), Sight(AT_WORK, skipped="heat")]
    with pytest.raises(NothingSeen, match="no operating point could be measured"):
        table_of(sights, Key("b", "k", "m"), "dock-mini", "")


def test_too_few_pairs_leave_the_estimate_as_it_was_and_say_why() -> None:
    sights = [Sight(Stop(), 2.0), Sight(AT_WORK, 4.0, 0.02, 4.0, 0.05)]
    table, refused = table_of(sights, Key("b", "k", "m"), "dock-mini", "")
    assert table.estimate.error_share is None
    assert "pairs of watts" in str(refused)
    assert "not calibrated: 0 pairs" in screen.tail(table, str(refused), [])


@pytest.mark.parametrize(
    ("seconds_s", "words"),
    [(9, "9 s"), (90, "1 min 30 s"), (600, "10 min 0 s"), (9000, "2 h 30 min")],
)
def test_a_length_of_time_in_words(seconds_s: float, words: str) -> None:
    assert screen.left(seconds_s) == words


def test_the_head_says_how_long_and_that_nothing_is_held() -> None:
    todo = planned_for(300.0)
    text = screen.head(todo, 0, "tasmota plug")
    assert screen.left(todo.left_s(0)) in text
    assert "600 s of readings at each" in text
    assert "the budget is not held meanwhile" in text


def test_a_line_tells_watts_seconds_progress_and_what_is_left() -> None:
    todo = planned_for(PERIOD_S_MAX)
    sight = Sight(todo.stops[1], 3.21, 0.02, 64.0, 0.25)
    text = screen.line(sight, todo, 2)
    assert "3.210 W" in text
    assert "250.00 ms/step" in text
    assert f"  2/{len(todo.stops)}" in text
    assert screen.left(todo.left_s(2)) in text


def test_the_plot_has_a_bar_for_each_row_longer_for_more_watts() -> None:
    clocks = [FORECAST.points[place].clocks for place in (0, -1)]
    sights = [
        Sight(Stop(), 2.0),
        *(
            Sight(Stop("decode", one), watts_w, 0.02, 4.0, 0.05)
            for one, watts_w in zip(clocks, (3.0, 6.0), strict=True)
        ),
    ]
    table, _ = table_of(sights, Key("b", "k", "m"), "dock-mini", "")
    _, low, high = screen.plot(table).splitlines()
    assert low.count(".") == high.count(".")
    assert low.count("#") * 4 == pytest.approx(high.count("#"), abs=4)
    assert low.endswith("3.00 W")
    assert high.endswith("6.00 W")


@pytest.mark.parametrize(
    ("points", "left_out", "is_wider"), [(1, 9, True), (1, 0, False), (4, 9, False)]
)
def test_few_points_that_stand_for_others_widen_the_band(
    points: int, left_out: int, is_wider: bool
) -> None:
    pairs = tuple(Pair(2.0 + at, 2.0 + at, 0.02) for at in range(8))
    sights = [Sight(Stop(), 2.0, 0.02, pairs=pairs)]
    for place in range(points):
        stop = Stop("decode", FORECAST.points[place].clocks)
        sights.append(Sight(stop, 4.0, 0.02, 4.0, 0.05))
    table, _ = table_of(sights, Key("b", "k", "m"), "dock-mini", "", left_out)
    assert table.estimate.error_share == pytest.approx(FEW_POINTS_SHARE if is_wider else 0.02)
