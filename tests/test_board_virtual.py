from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.bench.power_arms import Metering
from edged.board.soc import KNOBS, RK3588, SOCS, operating_points
from edged.board.virtual.engine import Engine, Request
from edged.board.virtual.plant import Board, drawn, is_cool
from edged.board.virtual.run import Run
from edged.board.virtual.sensor import Chip, Sensor
from edged.power.budget import Budget
from edged.power.forecast import Step

FULL = len(operating_points(RK3588)) - 1


def board(seed: int = 0, ambient_c: float = 25.0) -> Board:
    plant = drawn(RK3588, seed)
    return Board(plant, plant.points(KNOBS), ambient_c)


def watts(one: Board) -> list[tuple[float, float]]:
    """Return (until, W) of each stretch of constant watts."""
    pairs = zip(itertools.pairwise(one.times_s), itertools.pairwise(one.joules), strict=True)
    return [(t1, (j1 - j0) / (t1 - t0)) for (t0, t1), (j0, j1) in pairs]


def free_run(one: Board, until_s: float, requests: list[Request]) -> Engine:
    engine = Engine(iter(requests))
    policy = Metering(FULL, 128, Budget().limits())
    Run(one, Sensor(Chip(), 1), engine, policy).until(until_s)
    return engine


def test_a_pause_does_not_idle_the_board_at_once() -> None:
    one, point = board(), operating_points(RK3588)[FULL]
    one.run(1.0, "decode")
    one.run(10.0, None)
    until_s, power_w = zip(*watts(one), strict=True)
    assert until_s == pytest.approx((1.0, 1.02, 1.12, 4.0, 10.0))
    above_w = (point.decode_w, point.spin_w, point.on_w + point.ddr_w, point.on_w, 0.0)
    assert power_w == pytest.approx([1.4 + watts_above for watts_above in above_w])


def test_clocks_change_after_the_actuators_latency() -> None:
    one = board()
    one.ask_for(0)
    one.run(0.02, None)
    one.settle_clocks()
    assert one.place == FULL
    one.run(0.04, None)
    one.settle_clocks()
    assert one.place == 0


@pytest.mark.parametrize("soc", SOCS.values(), ids=SOCS)
def test_a_seed_is_a_plant_and_zero_is_the_nominal_one(soc: object) -> None:
    nominal = next(one for one in SOCS.values() if one is soc)
    assert drawn(nominal, 0).soc == nominal
    assert drawn(nominal, 7) == drawn(nominal, 7)
    assert drawn(nominal, 7) != drawn(nominal, 8)


@given(st.integers(1, 10_000))
def test_drawn_constants_stay_in_their_ranges(seed: int) -> None:
    soc = drawn(RK3588, seed).soc
    assert abs(soc.idle_w - 1.4) <= 0.2
    assert 1.8 <= soc.npu_top_w <= 2.2
    assert 0.8 <= soc.npu_busy.decode / 0.35 <= 1.2
    assert 0.01 <= soc.ddr_traffic_j_gb <= 0.03


def test_a_run_is_the_same_twice() -> None:
    requests = [Request(1.0, 300, 40, 99.0)] * 20
    ran = [board(3), board(3)]
    tokens = [free_run(one, 60.0, requests).tokens for one in ran]
    assert tokens[0] == tokens[1]
    assert ran[0].joules == ran[1].joules


def test_full_speed_without_a_limit_is_what_the_arithmetic_of_the_plant_says() -> None:
    engine = free_run(board(), 100.0, [Request(0.0, 256, 60, 1e9)] * 500)
    # 8 answers: 16 chunks of 0.29 s and 60 steps of 78 ms, about.
    assert engine.tokens / 100 == pytest.approx(480 / (16 * 0.2904 + 60 * 0.0778), rel=0.05)


def test_a_hot_board_loses_its_highest_clocks() -> None:
    one = board(ambient_c=60.0)
    free_run(one, 900.0, [Request(0.0, 256, 60, 1e9)] * 5000)
    assert one.is_hot
    assert is_cool(one.points[one.place].clocks)


def test_temperature_ends_at_ambient_plus_resistance_times_power() -> None:
    one = board()
    one.run(3000.0, "decode")
    one.heat()
    power_w = one.joules[-1] / 3000.0
    assert one.temperature_c == pytest.approx(25.0 + 9.0 * power_w, abs=0.1)


def test_a_reading_is_a_rounded_mean_of_the_last_whole_conversion() -> None:
    one, sensor = board(), Sensor(Chip(noise_w=0.0), 1)
    one.run(sensor.next_s, "decode")
    sensor.convert(one)
    reading = sensor.read(one.now_s + 0.05)
    assert reading is not None
    assert reading.age_s == pytest.approx(0.05)
    steps = reading.power_w / 0.00625
    assert steps == pytest.approx(round(steps))
    assert reading.power_w == pytest.approx(one.joules[-1] / 0.141, abs=0.004)


@given(st.lists(st.tuples(st.integers(1, 700), st.integers(1, 50)), min_size=1, max_size=20))
def test_the_engine_gives_every_token_once(sizes: list[tuple[int, int]]) -> None:
    engine = Engine(iter([Request(0.0, prompt, output, 1e9) for prompt, output in sizes]))
    prefilled = now_s = 0
    engine.admit(0.0)
    while (step := engine.step(64)) is not None:
        prefilled += step.tokens if step.phase == "prefill" else 0
        now_s += 1
        engine.done(step, now_s)
        engine.admit(now_s)
    assert prefilled == sum(prompt for prompt, _ in sizes)
    assert engine.tokens == sum(output for _, output in sizes)


def test_an_answer_after_its_deadline_is_not_useful() -> None:
    engine = Engine(iter([Request(0.0, 10, 2, 5.0)]))
    engine.admit(0.0)
    engine.done(Step("prefill", 10), 1.0)
    engine.done(Step("decode", 1), 2.0)
    engine.admit(6.0)
    assert engine.tokens == 0
    assert engine.step(64) is None
