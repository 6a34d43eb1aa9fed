"""The estimate follows clocks, volts and work, and is corrected by a calibration."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.meters.calibration import (
    PAIRS_MIN,
    UNCALIBRATED,
    Calibration,
    CalibrationRefused,
    Pair,
    fit,
)
from edged.board.meters.dynamic import Coefficients, State, board_w, of_cores, of_soc
from edged.board.meters.estimate import EstimateMeter
from edged.board.soc import RK3576, RK3588, Soc, operating_points
from edged.board.use import Use
from tests.golden_tree import EACH_BOARD, Ticks, tree
from tests.memory import tmp_path as tmp_path

PC = of_cores(idle_w=2.0, core_w=0.5, core_hz=1e9, error_share=0.3)
CPU_S = st.floats(0, 1000)
NOWHERE = Path("/nonexistent")
NPU_DEVFREQ = "class/devfreq/fdab0000.npu"
SHARE = st.floats(0, 1)


class Engine:
    """An engine whose work the test sets."""

    def __init__(self) -> None:
        self.cpu_s = self.npu_s = self.decode_s = 0.0
        self.is_there = True

    def __call__(self) -> Use | None:
        return Use(self.cpu_s, self.npu_s, self.decode_s) if self.is_there else None


def estimate(root: Path, coefficients: Coefficients, cores: float, npu_busy: float = 0.0) -> float:
    """Return the watts after two seconds of such work."""
    clock, engine = Ticks(), Engine()
    meter = EstimateMeter(root, coefficients, engine, clock=clock)
    clock.step(2.0)
    engine.cpu_s, engine.npu_s = cores * 2.0, npu_busy * 2.0
    return meter.read().watts_w


def set_khz(root: Path, clock_khz: int) -> None:
    for policy in ("policy4", "policy6"):
        path = root / f"devices/system/cpu/cpufreq/{policy}/scaling_cur_freq"
        path.write_text(f"{clock_khz}\n")


def test_a_resting_board_draws_its_idle_watts(tmp_path: Path) -> None:
    root = tree(tmp_path, "rock_5b")
    assert estimate(root, of_soc(RK3588), cores=0.0) == pytest.approx(RK3588.idle_w)


def test_without_an_engine_the_board_rests(tmp_path: Path) -> None:
    engine = Engine()
    engine.is_there = False
    meter = EstimateMeter(tree(tmp_path, "rock_5b"), of_soc(RK3588), engine, clock=Ticks())
    assert meter.read().watts_w == pytest.approx(RK3588.idle_w)


def test_another_engine_counts_from_the_start(tmp_path: Path) -> None:
    clock, engine = Ticks(), Engine()
    engine.cpu_s = 1000.0
    meter = EstimateMeter(tmp_path, PC, engine, clock=clock)
    clock.step(1.0)
    engine.cpu_s = 0.1
    assert meter.read().watts_w == PC.idle_w  # what it used before is not the new window's
    clock.step(1.0)
    engine.cpu_s = 1.1
    assert meter.read().watts_w == pytest.approx(PC.idle_w + 0.5)


def test_work_before_the_last_second_does_not_count(tmp_path: Path) -> None:
    clock, engine = Ticks(), Engine()
    meter = EstimateMeter(tmp_path, PC, engine, clock=clock)
    engine.cpu_s = 100.0
    for _ in range(12):
        clock.step(0.125)
        last_w = meter.read().watts_w
    assert last_w == PC.idle_w


def test_an_estimate_says_that_it_is_one(tmp_path: Path) -> None:
    reading = resting(tmp_path).read()
    assert (reading.origin, reading.name, reading.error_share) == ("estimated", "estimate", 0.3)


def resting(root: Path, calibration: Calibration = UNCALIBRATED) -> EstimateMeter:
    clock = Ticks()
    meter = EstimateMeter(root, PC, Engine(), calibration, clock)
    clock.step(1.0)
    return meter


def test_four_busy_big_cores_draw_what_the_table_says(tmp_path: Path) -> None:
    root = tree(tmp_path, "rock_5b")
    set_khz(root, 1_200_000)
    expected_w = RK3588.cpu_top_w * 1200 / 2400 * (0.675 / 1.0) ** 2 / RK3588.rail_efficiency
    assert estimate(root, of_soc(RK3588), 4.0) - RK3588.idle_w == pytest.approx(expected_w)


def test_the_rail_of_this_chip_counts_more_than_the_table(tmp_path: Path) -> None:
    root = tree(tmp_path, "rock_5b")
    set_khz(root, 2_400_000)  # the table says 1 V; this chip's rail stays at 0.675 V
    expected_w = RK3588.cpu_top_w * 0.675**2 / RK3588.rail_efficiency
    assert estimate(root, of_soc(RK3588), 4.0) - RK3588.idle_w == pytest.approx(expected_w)


def test_a_rail_that_reads_nonsense_is_passed_over(tmp_path: Path) -> None:
    root = tree(tmp_path, "rock_5b")
    set_khz(root, 2_400_000)
    for path in (root / "class/regulator").glob("*/microvolts"):
        path.write_text("12000000\n")
    expected_w = RK3588.cpu_top_w / RK3588.rail_efficiency
    assert estimate(root, of_soc(RK3588), 4.0) - RK3588.idle_w == pytest.approx(expected_w)


def test_a_busy_npu_draws_by_its_clock(tmp_path: Path) -> None:
    root = tree(tmp_path, "rock_5b")
    (root / NPU_DEVFREQ / "cur_freq").write_text("500000000\n")
    for path in (root / "class/regulator").glob("*/microvolts"):
        path.unlink()
    expected_w = RK3588.npu_on_w + RK3588.npu_top_w * 0.5 * (0.7 / 0.85) ** 2 * 0.4
    found_w = estimate(root, of_soc(RK3588), 0.0, npu_busy=0.4) - RK3588.idle_w
    assert found_w == pytest.approx(expected_w / RK3588.rail_efficiency)


def test_decode_steps_read_the_model_from_memory(tmp_path: Path) -> None:
    clock, engine = Ticks(), Engine()
    meter = EstimateMeter(tree(tmp_path, "rock_5b"), of_soc(RK3588), engine, clock=clock)
    (tmp_path / "class/devfreq/dmc/cur_freq").write_text("2112000000\n")
    clock.step(2.0)
    rest_w = meter.read().watts_w
    clock.step(2.0)
    engine.decode_s = 1.0
    traffic_w = RK3588.ddr_traffic_j_gb * RK3588.ddr_decode_gb_s / RK3588.rail_efficiency
    assert meter.read().watts_w - rest_w == pytest.approx(0.5 * traffic_w)
    assert meter.step_j(0.0, decode_s=2.0) == pytest.approx(2 * traffic_w)


def test_a_fast_memory_clock_costs_watts_at_rest(tmp_path: Path) -> None:
    root = tree(tmp_path, "rock_5b")
    (root / "class/devfreq/dmc/cur_freq").write_text("2112000000\n")
    found_w = estimate(root, of_soc(RK3588), 0.0)
    expected_w = RK3588.idle_w + RK3588.ddr_base_w / RK3588.rail_efficiency
    assert found_w == pytest.approx(expected_w)


@pytest.mark.parametrize("soc", [RK3588, RK3576], ids=lambda soc: soc.name)
def test_the_estimate_is_the_forecast_of_the_same_work(soc: Soc) -> None:
    full = operating_points(soc)[-1]
    state = State(4 * soc.cpu_busy.decode, soc.npu_busy.decode, decoding=1.0)
    assert board_w(of_soc(soc), state) - soc.idle_w == pytest.approx(full.decode_w)


@given(SHARE, SHARE, st.floats(0, 8), st.floats(3e8, 2.4e9))
def test_more_work_never_draws_less(
    npu_busy: float, more: float, cores: float, cpu_hz: float
) -> None:
    less_w = board_w(of_soc(RK3588), State(cores, npu_busy, cpu_hz))
    assert board_w(of_soc(RK3588), State(cores + more, npu_busy, cpu_hz)) >= less_w
    assert board_w(of_soc(RK3588), State(cores, min(1.0, npu_busy + more), cpu_hz)) >= less_w


@given(st.floats(4e8, 2.4e9), st.floats(4e8, 2.4e9))
def test_a_faster_clock_never_draws_less(first_hz: float, second_hz: float) -> None:
    slow_hz, fast_hz = sorted((first_hz, second_hz))
    for of in (of_soc(RK3588), PC):
        slow_w, fast_w = (board_w(of, State(4.0, 0.0, hz)) for hz in (slow_hz, fast_hz))
        assert fast_w >= slow_w - 1e-9


@pytest.mark.parametrize(
    ("clock_khz", "expected_j"), [(None, 2.0), (1_000_000, 2.0), (500_000, 0.5), (2_000_000, 8.0)]
)
def test_joules_of_a_step_follow_the_square_of_the_clock(
    tmp_path: Path, clock_khz: int | None, expected_j: float
) -> None:
    policy = tmp_path / "devices/system/cpu/cpufreq/policy0"
    policy.mkdir(parents=True)
    (policy / "cpuinfo_max_freq").write_text("2000000\n")
    (policy / "scaling_cur_freq").write_text(f"{clock_khz or '<unknown>'}\n")
    assert EstimateMeter(tmp_path, PC, Engine()).step_j(4.0) == pytest.approx(expected_j)


@given(CPU_S, CPU_S)
def test_joules_are_linear_in_cpu_seconds(first_s: float, second_s: float) -> None:
    meter = EstimateMeter(NOWHERE, PC, Engine())
    whole_j = meter.step_j(first_s + second_s)
    assert whole_j == pytest.approx(meter.step_j(first_s) + meter.step_j(second_s))


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 4)), max_size=8))
def test_joules_are_those_of_idling_and_of_the_work(looks: list[tuple[float, float]]) -> None:
    clock, engine = Ticks(), Engine()
    meter = EstimateMeter(NOWHERE, PC, engine, clock=clock)
    for length_s, cores in looks:
        clock.step(length_s)
        engine.cpu_s += cores * length_s
        meter.read()
    passed_s = sum(length_s for length_s, _ in looks)
    assert meter.idle_j == pytest.approx(PC.idle_w * passed_s)
    assert meter.counter_j == pytest.approx(meter.idle_j + meter.step_j(engine.cpu_s))


def test_what_a_new_engine_used_before_is_counted_for_nobody() -> None:
    clock, engine = Ticks(), Engine()
    engine.cpu_s = 1000.0
    meter = EstimateMeter(NOWHERE, PC, engine, clock=clock)
    clock.step(10.0)
    engine.cpu_s = 5.0
    meter.read()
    assert meter.counter_j == meter.idle_j == PC.idle_w * 10.0


def test_an_idle_hour_is_not_in_the_mean_of_the_window_after_it() -> None:
    clock, engine = Ticks(), Engine()
    meter = EstimateMeter(NOWHERE, PC, engine, clock=clock, window_s=10.0)
    clock.step(3600.0)
    meter.read()
    clock.step(5.0)
    engine.cpu_s = 10.0
    assert meter.read().watts_w == pytest.approx(PC.idle_w + 0.5)


def test_a_machine_that_tells_no_clock_is_taken_at_its_top(tmp_path: Path) -> None:
    assert estimate(tmp_path, PC, cores=2.0) == pytest.approx(2.0 + 2 * 0.5)


@EACH_BOARD
def test_every_board_has_an_estimate(tmp_path: Path, board: str) -> None:
    soc = RK3576 if board == "sige5" else RK3588
    assert 1 < estimate(tree(tmp_path, board), of_soc(soc), 4.0, 0.3) < 6


def pairs(offset_w: float, gain: float, noise: float = 0.0) -> list[Pair]:
    estimated = [1.5 + place * 0.4 for place in range(PAIRS_MIN)]
    return [
        Pair(watts_w, (offset_w + gain * watts_w) * (1 + noise * (-1) ** place), 0.02)
        for place, watts_w in enumerate(estimated)
    ]


@given(st.floats(-0.3, 2), st.floats(0.4, 2.5))
def test_a_calibration_finds_offset_and_gain(offset_w: float, gain: float) -> None:
    found = fit(pairs(offset_w, gain), "shelly plug")
    assert found.offset_w == pytest.approx(offset_w, abs=1e-6)
    assert found.gain == pytest.approx(gain)
    assert found.error_share == pytest.approx(0.02, abs=1e-6)  # the meter's own band is left


def test_what_the_line_does_not_explain_widens_the_band() -> None:
    found = fit(pairs(0.4, 1.2, noise=0.05), "shelly plug")
    assert found.error_share is not None
    assert 0.06 < found.error_share < 0.10


@pytest.mark.parametrize(
    ("taken", "says"),
    [
        (pairs(0.0, 1.0)[: PAIRS_MIN - 1], "7 pairs of watts; at least 8"),
        ([Pair(2.0, 2.1, 0.02)] * PAIRS_MIN, "rest and work differ by 0.00 W"),
        (pairs(3.0, 0.1), "the meter changes 0.10 times as much"),
        (pairs(0.0, 9.0), "the meter changes 9.00 times as much"),
        ([Pair(1.0, 0.0, 0.02), *pairs(0.0, 1.0)], "each above 0 W"),
    ],
)
def test_pairs_that_teach_nothing_are_refused(taken: list[Pair], says: str) -> None:
    with pytest.raises(CalibrationRefused, match=says):
        fit(taken, "shelly plug")


def test_a_calibration_corrects_the_reading_and_gives_its_band(tmp_path: Path) -> None:
    taught = Calibration(offset_w=1.0, gain=2.0, error_share=0.07, against="plug")
    reading = resting(tmp_path, taught).read()
    assert (reading.watts_w, reading.error_share) == (1.0 + 2.0 * PC.idle_w, 0.07)
