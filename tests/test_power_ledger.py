from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.power.budget import Limits
from edged.power.ledger import MORE_S_MIN, PAUSE_S_MAX, PAUSE_S_MIN, Ledger, Planned
from edged.power.trace import Trace

LIMITS = Limits(mean_w=4.0, window_s=10.0, peak_w=4.8, peak_window_s=1.0)
PAUSED_W = 1.6
BUNCH_S = 0.45
WATTS = st.floats(4.05, 6.0)
STEP_S = st.floats(0.05, 0.45)


def ledger() -> Ledger:
    return Ledger(LIMITS, now_s=0.0)


def drive(account: Ledger, steps: list[tuple[float, float]], metered: bool) -> Trace:
    """Run steps (s, W) as the ledger lets them; return what was drawn."""
    drawn, now_s = Trace(0.0, 4.0), 0.0
    for step_s, step_w in steps:
        for _ in range(40):
            pause_s = account.pause_s(now_s, Planned(step_s, step_w, PAUSED_W), BUNCH_S)
            if pause_s == 0:
                break
            assert PAUSE_S_MIN <= pause_s <= PAUSE_S_MAX
            now_s = spend(account, drawn, now_s + pause_s, PAUSED_W, metered)
        else:
            continue  # it never fits: never started
        now_s = spend(account, drawn, now_s + step_s, step_w, metered)
    return drawn


def spend(account: Ledger, drawn: Trace, until_s: float, power_w: float, metered: bool) -> float:
    account.expect(until_s, power_w)
    drawn.extend(until_s, power_w)
    if metered:
        late_s, from_s = until_s - 0.2, account.metered_s
        if late_s > from_s:  # the meter's truth, a little late
            drawn_j = drawn.joules_at(late_s) - drawn.joules_at(from_s)
            account.meter(late_s, drawn_j / (late_s - from_s))
    return until_s


def test_a_trace_takes_the_time_before_it_for_even() -> None:
    assert Trace(10.0, 4.0).joules_at(8.0) == pytest.approx(-8.0)


@given(st.floats(0, 20))
def test_a_trace_is_a_line_between_its_entries(moment_s: float) -> None:
    trace = Trace(0.0, 0.0)
    trace.extend(5.0, 2.0)
    trace.extend(20.0, 4.0)
    expected_j = 2 * moment_s if moment_s <= 5 else 10 + 4 * (moment_s - 5)
    assert trace.joules_at(moment_s) == pytest.approx(expected_j)


def test_what_a_trace_forgets_changes_no_later_answer() -> None:
    trace = Trace(0.0, 1.0)
    for number in range(1, 1000):
        trace.extend(number * 0.1, number % 7)
    before = [trace.joules_at(moment) for moment in (80.0, 90.05, 99.9)]
    trace.forget(75.0)
    assert [trace.joules_at(moment) for moment in (80.0, 90.05, 99.9)] == before


STRETCHES = st.lists(st.tuples(st.floats(0.01, 0.3), st.floats(1.0, 6.0)), min_size=2, max_size=20)


@given(STRETCHES, st.floats(0.1, 1.0), st.floats(0.5, 2.0))
def test_a_mean_is_spread_over_its_time_as_its_shape_is(
    stretches: list[tuple[float, float]], part: float, ratio: float
) -> None:
    shape, other = Trace(0.0, 0.0), Trace(0.0, 0.0)
    for length_s, power_w in stretches:
        shape.extend(shape.end_s + length_s, power_w)
    until_s = part * shape.end_s
    other.extend_like(shape, until_s, ratio * shape.joules_at(until_s))
    assert other.end_s == pytest.approx(until_s)
    for share in (0.2, 0.5, 0.9, 1.0):
        expected_j = ratio * shape.joules_at(share * until_s)
        assert other.joules_at(share * until_s) == pytest.approx(expected_j)


def test_a_mean_whose_shape_drew_nothing_is_even() -> None:
    shape, other = Trace(0.0, 0.0), Trace(0.0, 0.0)
    shape.extend(2.0, 0.0)
    other.extend_like(shape, 2.0, 4.0)
    assert other.joules_at(1.0) == pytest.approx(2.0)


@given(st.lists(st.tuples(STEP_S, WATTS), min_size=60, max_size=120))
def test_no_window_that_ends_with_a_step_is_over_its_limit(
    steps: list[tuple[float, float]],
) -> None:
    account = ledger()
    drawn = drive(account, steps, metered=False)
    ends_s = [moment for moment in drawn._times_s if moment > LIMITS.window_s]
    means_w = [(drawn.joules_at(end) - drawn.joules_at(end - 10.0)) / 10.0 for end in ends_s]
    assert max(means_w, default=0.0) <= 1.006 * LIMITS.mean_w


@given(st.lists(st.tuples(STEP_S, WATTS), min_size=60, max_size=120))
def test_no_peak_window_that_ends_with_a_step_is_over_its_limit(
    steps: list[tuple[float, float]],
) -> None:
    drawn = drive(ledger(), steps, metered=False)
    ends_s = [moment for moment in drawn._times_s if moment > LIMITS.peak_window_s]
    means_w = [drawn.joules_at(end) - drawn.joules_at(end - 1.0) for end in ends_s]
    assert max(means_w, default=0.0) <= 1.0001 * LIMITS.peak_w


def test_a_long_step_waits_until_the_last_one_leaves_the_peak_s_window_and_no_longer() -> None:
    limits = Limits(mean_w=3.5, window_s=10.0, peak_w=3.6, peak_window_s=1.0)
    step_s, step_w, steps = 0.19, 9.0, 40
    drawn = drive(Ledger(limits, now_s=0.0), [(step_s, step_w)] * steps, metered=True)
    # So much of the step before may be in the same second.
    shared_s = (limits.peak_w - PAUSED_W) / (step_w - PAUSED_W) - step_s
    assert drawn.end_s <= steps * (1.02 - shared_s)


def test_a_bunch_that_was_paused_is_not_paused_again_for_what_is_still_owed() -> None:
    account = ledger()
    account.expect(0.1, 4.8)  # 0.08 J over: as much again makes 0.16 J, earned in 0.067 s
    owed, again = (Planned(0.1, 4.8, PAUSED_W, rested_s=rested_s) for rested_s in (0.0, BUNCH_S))
    assert account.pause_s(0.1, owed, BUNCH_S) == BUNCH_S
    assert account.pause_s(0.1, again, BUNCH_S) == pytest.approx(0.067, abs=0.001)


@given(st.floats(0.0, 1.0), st.floats(0.001, 0.3))
def test_a_pause_lasts_its_least_in_all_and_is_made_longer_by_moments(
    rested_s: float, owed_j: float
) -> None:
    account = ledger()
    account.expect(1.0, LIMITS.mean_w + owed_j)
    pause_s = account.pause_s(1.0, Planned(0.1, 3.9, PAUSED_W, rested_s=rested_s), 0.0)
    assert pause_s >= MORE_S_MIN
    assert rested_s + pause_s >= PAUSE_S_MIN


def rested(account: Ledger, paused_s: float) -> float:
    """Draw 3 W for ten seconds and then pause; return when that is."""
    account.expect(10.0, 3.0)
    account.meter(10.0, 3.0)
    account.expect(10.0 + paused_s, PAUSED_W)
    return 10.0 + paused_s


def test_a_doubt_of_the_forecast_puts_off_what_the_peak_would_just_let_in() -> None:
    sure, doubted = (Planned(0.4, 7.5, PAUSED_W, doubt_w) for doubt_w in (0.0, 1.5))
    account = ledger()
    now_s = rested(account, 0.2)
    assert account.pause_s(now_s, sure, BUNCH_S) == 0
    assert account.pause_s(now_s, doubted, BUNCH_S) > 0


def test_a_doubt_forbids_no_step_that_fits_behind_a_pause_as_long_as_the_peak_s_window() -> None:
    account = ledger()
    now_s = rested(account, 1.0)
    assert account.pause_s(now_s, Planned(0.4, 8.5, PAUSED_W, doubt_w=100.0), BUNCH_S) == 0


def test_under_the_limit_there_is_no_pause() -> None:
    drawn = drive(ledger(), [(0.1, 3.9)] * 300, metered=True)
    assert drawn.end_s == pytest.approx(30.0)


def test_an_even_load_over_the_limit_uses_almost_all_of_it() -> None:
    drawn = drive(ledger(), [(0.1, 4.8)] * 600, metered=True)
    mean_w = (drawn.end_j - drawn.joules_at(drawn.end_s - 40.0)) / 40.0
    assert 0.98 * LIMITS.mean_w <= mean_w <= 1.005 * LIMITS.mean_w


def test_an_hour_of_idle_earns_about_one_step_and_no_more() -> None:
    account = ledger()
    for number in range(1, 3600):
        account.expect(float(number), 1.4)
        account.meter(float(number), 1.4)
    started, now_s = 0, 3599.0
    while account.pause_s(now_s, Planned(0.1, 8.0, PAUSED_W), BUNCH_S) == 0:
        now_s += 0.1
        account.expect(now_s, 8.0)
        started += 1
    assert started * 0.1 * (8.0 - LIMITS.mean_w) <= 0.4 + (LIMITS.mean_w - PAUSED_W) * BUNCH_S


@pytest.mark.parametrize("bunch_s", [0.05, 0.18, BUNCH_S])
def test_what_two_readings_put_back_is_not_lost_however_short_the_pauses_are(
    bunch_s: float,
) -> None:
    account, planned = ledger(), Planned(0.05, 8.0, PAUSED_W)
    account.expect(1.0, LIMITS.mean_w)
    account.meter(1.0, LIMITS.mean_w)
    account.pause_s(1.0, planned, bunch_s)  # no credit and no debt yet
    for now_s in (1.14, 1.28):
        account.expect(now_s, LIMITS.mean_w)
        account.meter(now_s, PAUSED_W)
        account.pause_s(now_s, planned, bunch_s)
    earned_j = 0.28 * (LIMITS.mean_w - PAUSED_W)
    step_j = planned.length_s * (planned.power_w - LIMITS.mean_w)
    now_s, started = 1.28, 0
    while account.pause_s(now_s, planned, bunch_s) == 0:
        now_s, started = now_s + planned.length_s, started + 1
        account.expect(now_s, planned.power_w)
    assert started == int(earned_j / step_j)


def test_a_cut_starts_a_fresh_ledger_that_owes_nothing() -> None:
    account = Ledger(Limits(6.0, 10.0, 7.2, 1.0), now_s=0.0)
    for number in range(1, 20):
        account.expect(float(number), 6.0)
    account.set_limits(LIMITS, 19.0)
    assert account.pause_s(19.0, Planned(0.1, 3.9, PAUSED_W), BUNCH_S) == 0


def test_a_raise_keeps_the_ledger() -> None:
    account = ledger()
    account.expect(5.0, 4.0)
    account.set_limits(Limits(6.0, 10.0, 7.2, 1.0), 5.0)
    assert account.mean_w(5.0) == pytest.approx(4.0)


@pytest.mark.parametrize("jump_s", [-1000.0, 1000.0])
def test_a_clock_that_jumps_starts_a_fresh_ledger(jump_s: float) -> None:
    account = ledger()
    account.expect(10.0, 6.0)
    account.expect(10.0 + jump_s, 6.0)
    assert account.mean_w(10.0 + jump_s) == pytest.approx(LIMITS.mean_w)


def test_what_the_meter_says_takes_the_place_of_the_forecast() -> None:
    account = ledger()
    account.expect(10.0, 3.0)
    account.meter(10.0, 5.0)
    assert account.mean_w(10.0) == pytest.approx(5.0)


def test_a_step_that_began_within_a_reading_is_where_it_was() -> None:
    account = ledger()
    account.expect(10.0, PAUSED_W)
    account.expect(10.1, 4.8)
    account.meter(9.9, PAUSED_W)
    account.meter(10.1, 3.2)  # the mean of both halves
    assert account.joules_at(10.1) - account.joules_at(10.0) == pytest.approx(0.48)


def test_a_missing_tick_is_filled_with_the_forecast() -> None:
    account = ledger()
    account.expect(10.0, 3.0)
    account.meter_as_forecast(10.0)
    assert account.mean_w(10.0) == pytest.approx(3.0)
