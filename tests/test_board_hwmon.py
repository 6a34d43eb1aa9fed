"""A chip of the INA family is found, read in watts, and its faults named. Method: golden trees."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edged.board.meters.averaging import SAMPLED_SHARE, SAMPLES
from edged.board.meters.fault import MeterFault
from edged.board.meters.hwmon import CHECK_AGAIN_S, Chip, HwmonMeter, find_chips
from tests.golden_tree import BOARDS, Deaf, Ticks, as_nobody, hwmon, metered, renumber, tree
from tests.golden_tree import open_folder as open_folder
from tests.memory import tmp_path as tmp_path

PERIOD_S = 0.125


def only_chip(root: Path) -> Chip:
    chips = find_chips(root)
    assert len(chips) == 1
    return chips[0]


def meter(root: Path, clock: Ticks | None = None, shunt_ohm: float | None = None) -> HwmonMeter:
    return HwmonMeter(root, find_chips(root)[0], PERIOD_S, shunt_ohm, clock or Ticks())


@pytest.mark.parametrize(
    ("board", "ids"),
    [
        ("orangepi_5", ["ina226@1-0040"]),
        ("rock_5b", ["ina228@8-0040"]),
        ("nanopi_r6s", ["ina3221@5-0040/1", "ina3221@5-0040/2"]),
        ("sige5", ["ina219@8-0040"]),
        ("rk3588j", ["ina260@5-0041"]),
        ("mainline", ["ina238@8-0045"]),
    ],
)
def test_each_chip_is_found_by_name_and_device(tmp_path: Path, board: str, ids: list[str]) -> None:
    assert [chip.id for chip in find_chips(metered(tmp_path, board))] == ids


@pytest.mark.parametrize("board", BOARDS)
def test_no_board_has_a_chip_of_its_own(tmp_path: Path, board: str) -> None:
    assert find_chips(tree(tmp_path, board)) == ()


@pytest.mark.parametrize(
    ("board", "watts_w"),
    [
        ("orangepi_5", 2.2),
        ("nanopi_r6s", 5.048 * 0.436),
        ("sige5", 2.16),
        ("rk3588j", 2.24),
        ("mainline", 3.504),
    ],
)
def test_each_chip_is_read_in_watts(tmp_path: Path, board: str, watts_w: float) -> None:
    reading = meter(metered(tmp_path, board)).read()
    assert reading.watts_w == pytest.approx(watts_w)
    assert reading.origin == "metered"


def test_a_chip_that_counts_joules_gives_the_mean_between_readings(tmp_path: Path) -> None:
    root, clock = metered(tmp_path, "rock_5b"), Ticks()
    counter = hwmon(root, "ina228") / "energy1_input"
    chip = meter(root, clock)
    clock.step(2.0)
    counter.write_text(f"{48211360 + 7_000_000}\n")
    reading = chip.read()
    assert reading.watts_w == pytest.approx(3.5)
    assert reading.averaging_s == pytest.approx(2.0)


def test_a_counter_that_starts_again_settles_first(tmp_path: Path) -> None:
    root, clock = metered(tmp_path, "rock_5b"), Ticks()
    counter = hwmon(root, "ina228") / "energy1_input"
    chip = meter(root, clock)
    clock.step(1.0)
    counter.write_text("1000\n")
    assert fault_of(chip) == "settling"
    clock.step(1.0)
    counter.write_text("2001000\n")
    assert chip.read().watts_w == pytest.approx(2.0)


def test_the_averaging_is_raised_to_the_read_period(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    averaging = meter(root).averaging
    assert averaging.covers_period
    assert (hwmon(root, "ina226") / "update_interval").read_text() == "125\n"


def test_a_longer_averaging_is_left_alone(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    interval = hwmon(root, "ina226") / "update_interval"
    interval.write_text("563\n")
    assert meter(root).averaging.mean_s == 0.563
    assert interval.read_text() == "563\n"


def test_a_chip_of_three_channels_is_asked_for_samples_where_its_interval_is_not_enough(
    tmp_path: Path,
) -> None:
    root = metered(tmp_path, "nanopi_r6s")
    folder, interval = hwmon(root, "ina3221"), Deaf("4")
    interval.take_place_of(folder / "update_interval")
    chip = meter(root)
    assert (folder / "samples").read_text() == f"{SAMPLES[-1]}\n"
    assert chip.averaging.why == "averages 4 ms, is read every 125 ms: what is between is missed"
    assert chip.error_share == 0.02 + SAMPLED_SHARE
    interval.close()


def test_the_interval_of_a_chip_of_three_channels_is_raised_to_the_read_period(
    tmp_path: Path,
) -> None:
    root = metered(tmp_path, "nanopi_r6s")
    assert meter(root).averaging.covers_period
    assert (hwmon(root, "ina3221") / "samples").read_text() == "1\n"  # more would be slower


def test_an_averaging_that_cannot_be_raised_widens_the_error_band(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    interval = hwmon(root, "ina226") / "update_interval"
    interval.unlink()
    interval.mkdir()
    chip = meter(root)
    assert not chip.averaging.covers_period
    assert chip.error_share == 0.02 + SAMPLED_SHARE
    assert chip.averaging.why.endswith("(update_interval: Is a directory)")


@pytest.mark.parametrize(("board", "mean_ms"), [("sige5", 1), ("mainline", 50)])
def test_a_chip_without_averaging_of_its_own_says_what_it_misses(
    tmp_path: Path, board: str, mean_ms: int
) -> None:
    averaging = meter(metered(tmp_path, board)).averaging
    assert not averaging.covers_period
    assert f"averages {mean_ms} ms, is read every 125 ms" in averaging.why


def test_an_averaging_that_this_user_may_not_set_is_told(open_folder: Path) -> None:
    root = metered(open_folder, "orangepi_5")
    (hwmon(root, "ina226") / "update_interval").chmod(0o444)
    with as_nobody():
        averaging = meter(root).averaging
    assert averaging.why == (
        "averages 35 ms, is read every 125 ms: what is between is missed "
        "(update_interval: Permission denied)"
    )


def test_a_driver_that_started_anew_is_set_up_again(tmp_path: Path) -> None:
    root, clock = metered(tmp_path, "orangepi_5"), Ticks()
    interval = hwmon(root, "ina226") / "update_interval"
    chip = meter(root, clock)
    interval.write_text("35\n")
    clock.step(CHECK_AGAIN_S)
    chip.read()
    assert interval.read_text() == "125\n"


def test_a_chip_is_found_again_under_another_number(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    chip = meter(root)
    renumber(root, "ina226", 7)
    assert fault_of(chip) == "gone"
    assert chip.read().watts_w == pytest.approx(2.2)


def test_another_chip_under_the_old_number_is_never_read(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    chip = HwmonMeter(root, only_chip(root), PERIOD_S)
    renumber(root, "ina226", 9)
    tree(root, "rock_5b.ina228")
    assert hwmon(root, "ina228").name == "hwmon3"
    assert fault_of(chip) == "gone"
    assert chip.read().watts_w == pytest.approx(2.2)


def test_a_chip_that_is_unplugged_is_gone_and_comes_back(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    chip = meter(root)
    folder = hwmon(root, "ina226")
    shutil.move(folder, tmp_path / "drawer")
    assert [fault_of(chip), fault_of(chip)] == ["gone", "gone"]
    shutil.move(tmp_path / "drawer", folder)
    assert chip.read().watts_w == pytest.approx(2.2)


def test_a_chip_that_comes_back_with_its_drivers_default_is_set_up_again(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    chip = meter(root)
    folder = hwmon(root, "ina226")
    shutil.move(folder, tmp_path / "drawer")
    assert fault_of(chip) == "gone"
    shutil.move(tmp_path / "drawer", folder)
    (folder / "update_interval").write_text("35\n")
    chip.read()
    assert (folder / "update_interval").read_text() == "125\n"


def test_a_bus_that_fails_is_unreadable(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    chip, power = meter(root), hwmon(root, "ina226") / "power1_input"
    power.unlink()
    power.symlink_to("/proc/self/mem")  # its first byte is EIO, as a bus error is
    assert fault_of(chip) == "unreadable"


@pytest.mark.parametrize("text", ["", "nonsense\n"])
def test_a_text_that_is_no_number_is_unreadable(tmp_path: Path, text: str) -> None:
    root = metered(tmp_path, "orangepi_5")
    (hwmon(root, "ina226") / "power1_input").write_text(text)
    assert fault_of(meter(root)) == "unreadable"


def test_a_pipe_in_place_of_a_file_holds_nobody_up(tmp_path: Path) -> None:
    root = metered(tmp_path, "orangepi_5")
    power = hwmon(root, "ina226") / "power1_input"
    power.unlink()
    os.mkfifo(power)
    assert fault_of(meter(root)) == "unreadable"


def test_a_meter_that_may_not_be_read_is_denied(open_folder: Path) -> None:
    root = metered(open_folder, "orangepi_5")
    chip = meter(root)
    (hwmon(root, "ina226") / "power1_input").chmod(0)
    with as_nobody():
        assert fault_of(chip) == "denied"


def test_another_shunt_than_the_configured_one_is_named(tmp_path: Path) -> None:
    chip = meter(metered(tmp_path, "orangepi_5"), shunt_ohm=0.1)
    with pytest.raises(MeterFault, match="10 mOhm, 100 mOhm are configured") as caught:
        chip.read()
    assert caught.value.fault == "wrong_shunt"


@pytest.mark.parametrize("board", ["orangepi_5", "nanopi_r6s"])
def test_the_configured_shunt_is_good(tmp_path: Path, board: str) -> None:
    assert meter(metered(tmp_path, board), shunt_ohm=0.01).read().watts_w > 2


def test_a_shunt_inside_the_chip_needs_no_configuration(tmp_path: Path) -> None:
    chip = meter(metered(tmp_path, "rk3588j"), shunt_ohm=0.1)
    assert chip.read().error_share == 0.01


def fault_of(chip: HwmonMeter) -> str:
    with pytest.raises(MeterFault) as caught:
        chip.read()
    return caught.value.fault
