from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.soc import KNOBS, RK3576, RK3588, SOCS, operating_points
from edged.power.forecast import (
    GAIN_MAX,
    GAIN_MIN,
    STRANGER_MAX,
    STRANGER_MIN,
    TAUGHT_TICKS,
    Forecast,
    Learned,
    Phase,
    Step,
)

POINTS = operating_points(RK3588)
JSON = st.none() | st.floats() | st.integers(-9, 9**9) | st.text(max_size=3) | st.booleans()
NAMES = st.sampled_from(list(Learned().as_json()))


def fresh() -> Forecast:
    return Forecast(RK3588, POINTS, Learned())


@pytest.mark.parametrize(
    ("soc", "npu_mhz", "share"),
    [
        # Source: the table of relative dynamic power of the RK3588 NPU's own voltages.
        (RK3588, 900, 0.80), (RK3588, 800, 0.62), (RK3588, 700, 0.48), (RK3588, 300, 0.20),
        # Source: coefficient 2570 of RK3576: 0.95 W at 700 MHz, 1.87 W at 950 MHz.
        (RK3576, 700, 0.95 / 1.87),
    ],
)  # fmt: skip
def test_npu_watts_follow_f_v_squared(soc: object, npu_mhz: int, share: float) -> None:
    assert soc in (RK3588, RK3576)
    npu = (RK3588 if soc is RK3588 else RK3576).npu
    opp = next(one for one in npu if one.clock_hz == npu_mhz * 1e6)
    assert opp.activity / npu[-1].activity == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("soc", SOCS.values(), ids=SOCS)
def test_full_speed_is_the_last_point_and_nothing_is_faster(soc: object) -> None:
    points = operating_points(RK3588 if soc is RK3588 else RK3576)
    assert min(point.decode_slow for point in points) == points[-1].decode_slow == 1.0


def test_a_domain_without_a_knob_stays_at_its_top_clock() -> None:
    points = operating_points(RK3588, KNOBS - {"ddr"})
    assert {point.clocks.ddr_hz for point in points} == {RK3588.ddr[-1].clock_hz}
    assert len(operating_points(RK3588, frozenset())) == 1


def test_full_speed_draws_what_the_arithmetic_says() -> None:
    # NPU 1.4, CPU 1.15, DDR 0.6 + 0.04, NPU on 0.15, through rails of 0.95, above 1.4 W of idle.
    assert fresh().step_w(POINTS[-1], "prefill") == pytest.approx(1.4 + 3.342 / 0.95)


@given(st.sampled_from(POINTS), st.sampled_from([32, 64, 128, 256, 512]), st.floats(0.05, 2))
def test_a_chunk_is_within_the_step_bound_or_the_smallest(
    point: object, tokens: int, step_s_max: float
) -> None:
    place = POINTS.index(point)
    chunk = fresh().chunk_tokens(POINTS[place], step_s_max)
    assert chunk == 32 or fresh().prefill_s(POINTS[place], chunk) <= step_s_max


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_steady_error_of_the_prior_is_learned(phase: Phase) -> None:
    forecast, point = fresh(), POINTS[100]
    true_w = 1.4 + 1.2 * (forecast.step_w(point, phase) - 1.4)
    for _ in range(200):
        forecast.learn_power(phase, true_w, forecast.step_w(point, phase))
    assert forecast.step_w(point, phase) == pytest.approx(true_w, rel=0.005)
    assert forecast.learned.band < 0.05


def test_the_pace_of_steps_is_learned() -> None:
    forecast, step = fresh(), Step("decode", 8)
    for _ in range(100):
        forecast.learn_pace("decode", 0.12, forecast.step_s(POINTS[-1], step))
    assert forecast.step_s(POINTS[-1], step) == pytest.approx(0.12, rel=0.01)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.1, 20)), max_size=50))
def test_gains_stay_bounded_whatever_the_meter_says(ticks: list[tuple[float, float]]) -> None:
    forecast = fresh()
    for metered_w, expected_w in ticks:
        forecast.learn_power("decode", metered_w, expected_w)
    assert GAIN_MIN <= forecast.learned.decode_gain <= GAIN_MAX


def test_another_machine_s_table_learns_watts_that_no_such_board_has() -> None:
    forecast = Forecast(RK3588, POINTS, Learned(floor_w=30.0), is_own=False)
    for _ in range(100):
        forecast.learn_power("decode", 120.0, forecast.step_w(POINTS[-1], "decode"))
    assert forecast.step_w(POINTS[-1], "decode") == pytest.approx(120.0, rel=0.005)


def test_what_was_learned_outlives_a_restart() -> None:
    forecast = fresh()
    forecast.learn_floor(1.3)
    forecast.learn_power("prefill", 5.2, 4.9)
    kept = json.loads(json.dumps(forecast.learned.as_json()))
    assert Learned.from_json(kept) == forecast.learned


@given(st.dictionaries(NAMES, JSON))
def test_a_broken_file_of_what_was_learned_is_a_fresh_start_where_it_is_broken(
    kept: dict[str, object],
) -> None:
    learned = Learned.from_json(kept)
    assert all(value is None or math.isfinite(value) for value in learned.as_json().values())
    assert STRANGER_MIN <= learned.prefill_gain <= STRANGER_MAX


@pytest.mark.parametrize("pause_s", [0.05, 0.2, 0.45])
def test_the_parts_of_a_pause_add_up_to_its_mean(pause_s: float) -> None:
    forecast = Forecast(RK3588, operating_points(RK3588), Learned(floor_w=1.4))
    point, joules, at_s = forecast.points[-1], 0.0, 0.0
    for until_s, power_w in forecast.pause_parts(point):
        joules += power_w * (min(until_s, pause_s) - min(at_s, pause_s))
        at_s = until_s
    assert joules / pause_s == pytest.approx(forecast.paused_w(point, pause_s))


def test_mixed_seconds_teach_a_phase_less_that_its_own_readings_taught() -> None:
    forecast = Forecast(RK3588, POINTS, Learned(prefill_ticks=TAUGHT_TICKS))
    forecast.learn_mixed(1.2 * (4.0 - forecast.floor_w) + forecast.floor_w, 4.0)
    learned = forecast.learned
    assert (learned.prefill_gain, learned.decode_gain) == pytest.approx((1.05, 1.1))


def test_mixed_seconds_teach_both_phases_alike_where_both_were_taught() -> None:
    taught = Learned(prefill_ticks=TAUGHT_TICKS, decode_ticks=TAUGHT_TICKS)
    forecast = Forecast(RK3588, POINTS, taught)
    forecast.learn_mixed(1.2 * (4.0 - forecast.floor_w) + forecast.floor_w, 4.0)
    learned = forecast.learned
    assert (learned.prefill_gain, learned.decode_gain) == pytest.approx((1.1, 1.1))
