"""A calibration's table: whose it is, and what the forecast makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.domains import compatible
from edged.board.meters.calibration import Calibration
from edged.board.soc import RK3588, Clocks, Point, on_cpu, operating_points
from edged.doctor import calibrated, meters
from edged.power.forecast import Forecast, Learned, Phase, Step
from edged.power.table import (
    BAND_MIN,
    FILE,
    Key,
    Row,
    Table,
    applied,
    differences,
    recall,
    save,
)
from tests.doctor_fixtures import board as golden
from tests.doctor_fixtures import config, write
from tests.memory import tmp_path as tmp_path

SOC = on_cpu(RK3588)
POINTS = operating_points(SOC, frozenset({"cpu", "ddr"}))
HERE = Key("xunlong,orangepi-5", "6.1.115", "ina226@1-0040", 0.01)
PHASES: tuple[Phase, ...] = ("prefill", "decode")
RATIO = st.floats(0.3, 3.0)


def row(point: Point, phase: Phase, watts: float = 1.0, seconds: float = 1.0) -> Row:
    """Return what a board shows whose watts and seconds are so many times the prior's."""
    prior = Forecast(SOC, POINTS, Learned())
    above_w = point.prefill_w if phase == "prefill" else point.decode_w
    tokens = 64 if phase == "prefill" else 4
    step_s = prior.step_s(point, Step(phase, tokens))
    return Row(phase, point.clocks, watts * above_w, 0.03, tokens, seconds * step_s)


def table(*rows: Row, key: Key = HERE, estimate: Calibration | None = None) -> Table:
    taught = estimate or Calibration()
    return Table(key, "2026-11-21 10:00", "dock-mini", 1.5, 0.02, rows, taught)


def everywhere(watts: float, seconds: float) -> Table:
    return table(*(row(one, phase, watts, seconds) for one in POINTS for phase in PHASES))


@given(RATIO, RATIO)
def test_a_measured_point_has_its_own_watts_and_seconds(watts: float, seconds: float) -> None:
    found = applied(POINTS, SOC, everywhere(watts, seconds))
    for before, after in zip(POINTS, found, strict=True):
        assert after.prefill_w == pytest.approx(watts * before.prefill_w)
        assert after.decode_w == pytest.approx(watts * before.decode_w)
        assert after.prefill_slow == pytest.approx(seconds * before.prefill_slow)
        assert after.decode_slow == pytest.approx(seconds * before.decode_slow)


def test_the_forecast_says_the_seconds_that_were_measured() -> None:
    measured = row(POINTS[7], "prefill", seconds=1.7)
    forecast = Forecast(SOC, applied(POINTS, SOC, table(measured)), Learned())
    assert forecast.prefill_s(forecast.points[7], 64) == pytest.approx(measured.step_s)


@given(st.lists(RATIO, min_size=2, max_size=6))
def test_a_point_between_lies_within_what_was_measured(ratios: list[float]) -> None:
    measured = POINTS[:: len(POINTS) // len(ratios)]
    rows = [row(point, "decode", watts) for point, watts in zip(measured, ratios, strict=False)]
    found = applied(POINTS, SOC, table(*rows))
    for before, after in zip(POINTS, found, strict=True):
        share = after.decode_w / before.decode_w
        assert min(ratios) - 1e-9 <= share <= max(ratios) + 1e-9


def test_the_nearer_point_weighs_more() -> None:
    low, high = POINTS[0], POINTS[-1]
    found = applied(POINTS, SOC, table(row(low, "decode", 0.5), row(high, "decode", 2.0)))
    shares = {at: found[at].decode_w / POINTS[at].decode_w for at in (1, len(POINTS) - 2)}
    assert shares[1] < 1.0 < shares[len(POINTS) - 2]


def test_a_phase_that_was_not_measured_keeps_the_prior() -> None:
    found = applied(POINTS, SOC, table(row(POINTS[0], "decode", 2.0)))
    assert [one.prefill_w for one in found] == [one.prefill_w for one in POINTS]


def test_clocks_that_are_not_offered_any_more_teach_nothing() -> None:
    strange = replace(row(POINTS[0], "decode", 2.0), clocks=Clocks(1e9, 1.1e9, 2e9))
    assert applied(POINTS, SOC, table(strange)) == POINTS


def test_learning_starts_at_the_table(tmp_path: Path) -> None:
    learned = everywhere(1.0, 1.0).learned()
    assert (learned.floor_w, learned.decode_gain, learned.band) == (1.5, 1.0, 0.03)
    assert learned.pace_ticks == 0  # another model may be resident by now


@pytest.mark.parametrize(("share", "band"), [(None, 0.03), (0.08, 0.08), (0.001, BAND_MIN)])
def test_the_band_is_the_estimate_s_where_that_was_taught(share: float | None, band: float) -> None:
    assert table(row(POINTS[0], "decode"), estimate=Calibration(0, 1, share)).band == band


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = everywhere(1.1, 0.9)
    save(tmp_path / FILE, made)
    assert recall(tmp_path / FILE, HERE).table == made


def test_without_a_file_there_is_no_table_and_nothing_to_say(tmp_path: Path) -> None:
    found = recall(tmp_path / FILE, HERE)
    assert (found.table, found.warning) == (None, "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"board": "radxa,rock-5b"}, "made on xunlong,orangepi-5, this is radxa,rock-5b"),
        ({"kernel": "6.1.120"}, "made under kernel 6.1.115, this is 6.1.120"),
        ({"meter": "ina228@1-0041"}, "made against ina226@1-0040, the meter is ina228@1-0041"),
        ({"shunt_ohm": 0.002}, "made with a shunt of 10 mOhm, now it is 2 mOhm"),
        ({"shunt_ohm": None}, "made with a shunt of 10 mOhm, now it is none"),
    ],
)
def test_a_table_of_something_else_is_not_used_and_it_is_said(
    tmp_path: Path, change: dict[str, str | float | None], says: str
) -> None:
    save(tmp_path / FILE, everywhere(1.0, 1.0))
    found = recall(tmp_path / FILE, replace(HERE, **change))  # type: ignore[arg-type]  # by name
    assert found.table is None
    assert says in found.warning
    assert found.warning.endswith("run `edged calibrate` again")


def test_a_meter_that_is_gone_is_no_other_meter() -> None:
    assert differences(HERE, replace(HERE, meter=None, shunt_ohm=None)) == []


@pytest.mark.parametrize(
    "text", ["", "{}", '{"key": 1}', "\x00", '{"key":{"board":"b","kernel":"k","meter":"m"}}']
)
def test_a_broken_table_is_not_used_and_it_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    found = recall(tmp_path / FILE, HERE)
    assert found.table is None
    assert "is no calibration" in found.warning


@pytest.mark.parametrize("change", [{"above_w": -1.0}, {"step_s": 0.0}, {"error_share": 1e9}])
def test_figures_that_no_board_has_are_not_used(tmp_path: Path, change: dict[str, float]) -> None:
    save(tmp_path / FILE, table(replace(row(POINTS[0], "decode"), **change)))  # type: ignore[arg-type]  # by name
    assert "figures that no board has" in recall(tmp_path / FILE, HERE).warning


@pytest.mark.parametrize(("kernel", "level"), [("6.1.115", "ok"), ("6.1.120", "warning")])
def test_the_doctor_tells_a_table_that_is_used_from_a_stale_one(
    tmp_path: Path, kernel: str, level: str
) -> None:
    root = golden(tmp_path, "orangepi_5", "orangepi_5.ina226")
    settings = config({"node": {"state_dir": str(tmp_path)}})
    seen = meters.look(root, settings.power)
    here = calibrated.look(root, settings, seen)
    assert calibrated.judge(here) == []
    write(root, "/proc/sys/kernel/osrelease", f"{kernel}\n")
    board = compatible(root.sys)[0]
    save(tmp_path / FILE, replace(everywhere(1.0, 1.0), key=replace(HERE, board=board)))
    (found,) = calibrated.judge(calibrated.look(root, settings, seen))
    assert found.level == level
    assert found.mend == (None if level == "ok" else "edged calibrate")


def test_every_table_has_a_name_of_its_own() -> None:
    names = {everywhere(watts, 1.0).name for watts in (1.0, 1.1, 1.2)}
    assert len(names) == 3
