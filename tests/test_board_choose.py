"""The best meter of a machine is chosen, with the reason. Method: golden trees."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from edged.board.meters.calibration import Calibration
from edged.board.meters.choose import Chosen, Wish, choose_meter
from edged.board.meters.dynamic import of_cores
from edged.board.meters.estimate import EstimateMeter
from edged.board.meters.fault import MeterFault
from edged.board.meters.powercap import PowercapMeter, find_zones
from edged.board.meters.supply import find_contracts
from edged.board.use import Use
from tests.golden_tree import BOARDS, EACH_BOARD, EAR, Ticks, hwmon, metered, tree
from tests.memory import tmp_path as tmp_path

PC = of_cores(idle_w=2.0, core_w=0.5, core_hz=1e9, error_share=0.4)


def chosen(root: Path, meter: str = "auto", shunt_ohm: float | None = None) -> Chosen:
    wish = Wish(PC, meter, shunt_ohm=shunt_ohm)
    return choose_meter(wish, lambda: Use(1.0), root)


@EACH_BOARD
def test_a_chip_comes_first(tmp_path: Path, board: str) -> None:
    found = chosen(metered(tmp_path, board))
    assert (found.kind, found.boundary) == ("hwmon", "board_input")
    assert found.why.startswith(BOARDS[board])


@EACH_BOARD
def test_a_board_without_a_chip_has_the_estimate_of_its_soc(tmp_path: Path, board: str) -> None:
    found = chosen(tree(tmp_path, board))
    soc = "rk3576" if board == "sige5" else "rk3588"
    assert found.kind == "estimate"
    assert f"the constants of {soc}, never calibrated, +-40%" in found.why
    assert isinstance(found.meter, EstimateMeter)


def test_the_reason_tells_chip_averaging_shunt_and_band(tmp_path: Path) -> None:
    assert chosen(metered(tmp_path, "orangepi_5"), shunt_ohm=0.01).why == (
        "ina226@1-0040: the only power chip here; averages 125 ms, shunt 10 mOhm, +-2%"
    )


def test_a_shunt_that_nobody_named_may_be_the_drivers_default(tmp_path: Path) -> None:
    doubt = "shunt 10 mOhm (also the driver's own default"
    assert doubt in chosen(metered(tmp_path / "default", "orangepi_5")).why
    assert "shunt 100 mOhm, " in chosen(metered(tmp_path / "told", "sige5")).why


def test_a_label_tells_which_rail_feeds_the_board(tmp_path: Path) -> None:
    found = chosen(metered(tmp_path, "nanopi_r6s"))
    assert "ina3221@5-0040/1: its label 'DC_IN' says that it feeds the board" in found.why


def test_two_chips_without_labels_are_not_guessed_at(tmp_path: Path) -> None:
    root = tree(metered(tmp_path, "orangepi_5"), "second_chip")
    found = chosen(root)
    assert found.kind == "estimate"
    assert any("name it in power.meter" in sentence for sentence in found.passed_over)


def test_a_configured_chip_is_taken_from_two(tmp_path: Path) -> None:
    root = tree(metered(tmp_path, "orangepi_5"), "second_chip")
    assert "it is configured" in chosen(root, "ina226@1-0040").why


def test_a_configured_chip_that_came_loose_gives_way_to_the_estimate(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    found = chosen(root, "ina226@5-0044")
    assert found.kind == "estimate"
    assert "ina226@5-0044 is configured and not there; chips found: ina226@1-0040" in " ".join(
        found.passed_over
    )


def test_the_estimate_can_be_configured(tmp_path: Path) -> None:
    found = chosen(metered(tmp_path, "orangepi_5"), "estimate")
    assert found.kind == "estimate"
    assert "it is configured" in found.why


def test_a_calibration_is_named_with_its_band(tmp_path: Path) -> None:
    taught = Calibration(0.2, 1.1, 0.09, "tasmota plug")
    found = choose_meter(Wish(PC, calibration=taught), lambda: None, tree(tmp_path, "rock_5b"))
    assert "calibrated against tasmota plug, +-9%" in found.why


@pytest.mark.parametrize(
    ("board", "supply_w"),
    [("orangepi_5", 15.0), ("rock_5b", 24.0), ("sige5", 18.0), ("mainline", 27.0)],
)
def test_a_usb_contract_is_never_a_meter(tmp_path: Path, board: str, supply_w: float) -> None:
    found = chosen(tree(tmp_path, board))
    assert found.kind == "estimate"
    assert found.supply_w == pytest.approx(supply_w)
    assert any("tells the USB-PD contract" in sentence for sentence in found.passed_over)


def test_a_board_without_usb_power_has_no_contract(tmp_path: Path) -> None:
    assert find_contracts(tree(tmp_path, "nanopi_r6s")) == ()


def test_a_chip_that_the_other_driver_took_is_told(tmp_path: Path) -> None:
    device = tree(tmp_path, "orangepi_5") / "bus/iio/devices/iio:device1"
    device.mkdir(parents=True)
    (device / "name").write_text("ina226\n")
    found = chosen(tmp_path)
    assert found.kind == "estimate"
    assert any("SENSORS_INA2XX" in sentence for sentence in found.passed_over)


@pytest.mark.parametrize("board", ["rock_5b", "mainline"])
def test_a_driver_that_tells_no_shunt_is_said_to_leave_it_unchecked(
    board: str, tmp_path: Path
) -> None:
    root = metered(tmp_path, board)
    assert ", shunt not told by its driver, +-" in chosen(root).why
    unchecked = "shunt not told by its driver, so power.shunt_ohm cannot be checked, "
    assert unchecked in chosen(root, shunt_ohm=0.01).why


def test_a_shunt_inside_the_chip_is_no_matter_of_its_driver(tmp_path: Path) -> None:
    assert "shunt" not in chosen(metered(tmp_path, "rk3588j")).why


def test_a_wrong_shunt_is_told_by_the_chosen_meter(tmp_path: Path) -> None:
    found = chosen(metered(tmp_path, "sige5"), shunt_ohm=0.01)
    with pytest.raises(MeterFault, match="wrong_shunt"):
        found.meter.read()


def test_a_meter_that_reads_nothing_is_told_by_name(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    found = chosen(root)
    (hwmon(root, "ina226") / "power1_input").write_text("0\n")
    with pytest.raises(MeterFault, match="zero"):
        found.meter.read()


def test_a_machine_with_powercap_has_its_counters(tmp_path: Path) -> None:
    found = chosen(tree(tmp_path, "x86"))
    assert (found.kind, found.boundary) == ("powercap", "soc")
    assert "package-0" in found.why


def test_counters_that_only_root_may_read_are_passed_over(tmp_path: Path) -> None:
    root = tree(tmp_path, "x86")
    for path in (root / "class/powercap").glob("*/energy_uj"):
        path.unlink()
        path.mkdir()  # a folder can be read by nobody, not even by root
    found = chosen(root)
    assert found.kind == "estimate"
    assert any("may not be read by this user" in sentence for sentence in found.passed_over)


def test_a_package_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    assert [zone.folder.name for zone in find_zones(tree(tmp_path, "x86"))] == ["intel-rapl:0"]


def test_the_whole_machine_is_better_than_its_package(tmp_path: Path) -> None:
    root = tree(tmp_path, "x86")
    (root / "class/powercap/intel-rapl:0/name").write_text("psys\n")
    found = chosen(root)
    assert (found.boundary, "psys" in found.why) == ("board_input", True)


def test_a_counter_of_powercap_is_read_over_its_wrap(tmp_path: Path) -> None:
    root, clock = tree(tmp_path, "x86"), Ticks()
    zones = find_zones(root)
    meter = PowercapMeter(zones, clock)
    clock.step(2.0)
    (zones[0].folder / "energy_uj").write_text("10999999\n")
    assert meter.read().watts_w == pytest.approx((262143328850 - 261143328850 + 10999999) / 2e6)


def test_a_counter_that_went_away_is_gone(tmp_path: Path) -> None:
    root = tree(tmp_path, "x86")
    meter = PowercapMeter(find_zones(root), Ticks())
    shutil.rmtree(root / "devices/virtual/powercap")
    with pytest.raises(MeterFault, match="gone"):
        meter.read()


def test_a_machine_without_anything_has_an_estimate(tmp_path: Path) -> None:
    found = chosen(tmp_path)
    assert found.kind == "estimate"
    assert "the configured coefficients" in found.why


@EACH_BOARD
def test_nothing_that_powers_the_npu_up_is_ever_opened(tmp_path: Path, board: str) -> None:
    root = metered(tmp_path, board)
    debug = root / "kernel/debug/rknpu"
    debug.mkdir(parents=True)
    for name in ("freq", "load", "power", "volt", "version"):
        os.mkfifo(debug / name)  # reading one would hold this test up for ever
    with EAR.listening() as opened:
        for wish in ("auto", "estimate"):
            with suppress(MeterFault):  # a counter settles first
                chosen(root, wish).meter.read()
    inside = [path.removeprefix(str(root)) for path in opened if path.startswith(str(root))]
    elsewhere = [path for path in opened if not path.startswith(str(root))]
    assert [path for path in inside if "debug" in path] == []
    assert [path for path in elsewhere if path.startswith("/dev/")] == []
    assert inside
