"""The overlays of firmware-config/ compile without a warning and change what they say, on stubs."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.device_trees import SOCS, WATCHDOG_OFF, Kernel, attempt, blob, run
from tools.firmware_config.boards import BOARDS, FIRMWARE, Board, Overlay
from tools.firmware_config.flat_tree import Tree, children, read_tree, strings

EVERY = [
    pytest.param(board, overlay, id=f"{board.name}-{overlay.name}")
    for board in BOARDS.values()
    for overlay in board.overlays
]
EACH_OVERLAY = pytest.mark.parametrize(("board", "overlay"), EVERY)
EACH_BOARD = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)

CAP_HZ = 700_000_000
METER_BUS = {"orangepi-5": "i2c5", "rock-5b": "i2c8", "nanopi-r6s": "i2c5", "armsom-sige5": "i2c4"}
METER_PINS = {
    "orangepi-5": "i2c5m3_xfer",
    "rock-5b": "i2c8m4_xfer",
    "nanopi-r6s": "i2c5m3_xfer",
    "armsom-sige5": "i2c4m3_xfer",
}


def test_each_folder_holds_the_overlays_that_its_board_lists() -> None:
    listed = {board.source(overlay) for board in BOARDS.values() for overlay in board.overlays}
    assert set(FIRMWARE.glob("*/*.dts")) == listed


@EACH_BOARD
def test_only_a_board_that_ships_its_watchdog_off_has_that_overlay(board: Board) -> None:
    names = [overlay.name for overlay in board.overlays]
    assert ("watchdog" in names) == (board.name == WATCHDOG_OFF)


@EACH_OVERLAY
def test_dtc_has_nothing_to_say_about_an_overlay(
    board: Board, overlay: Overlay, tmp_path: Path
) -> None:
    assert compiled(board, overlay, tmp_path)[1] == ""


def test_dtc_does_say_something_about_a_child_without_a_size(tmp_path: Path) -> None:
    text = "/dts-v1/;\n/plugin/;\n&i2c5 { power-sensor@40 { reg = <0x41>; }; };\n"
    done = run("dtc", "-@", "-I", "dts", "-O", "dtb", "-o", str(tmp_path / "x"), "-", text=text)
    assert "Warning" in done.stderr


@EACH_OVERLAY
def test_an_overlay_adds_the_nodes_that_it_says_and_no_other(
    board: Board, overlay: Overlay, tmp_path: Path
) -> None:
    before, after = trees(board, overlay, tmp_path)
    added = frozenset(path.rsplit("/", 1)[1] for path in after.keys() - before.keys())
    assert added == overlay.adds
    assert not before.keys() - after.keys()


@EACH_OVERLAY
def test_applying_an_overlay_twice_is_applying_it_once(
    board: Board, overlay: Overlay, tmp_path: Path
) -> None:
    _, once = trees(board, overlay, tmp_path)
    file, _ = compiled(board, overlay, tmp_path)
    base, twice = tmp_path / "base.dtb", tmp_path / "twice.dtb"
    run("fdtoverlay", "-i", str(base), "-o", str(twice), str(file), str(file))
    assert read_tree(twice.read_bytes(), "twice") == once


@EACH_BOARD
def test_the_meter_is_on_the_bus_and_the_pins_of_the_header(board: Board, tmp_path: Path) -> None:
    before, tree = trees(board, named(board, "ina226"), tmp_path)
    labels = {name: strings(path)[0] for name, path in before["/__symbols__"].items()}
    bus = tree[labels[METER_BUS[board.name]]]
    pins = tree[labels[METER_PINS[board.name]]]
    assert (strings(bus["status"]), bus["pinctrl-0"]) == (["okay"], pins["phandle"])
    # The kernel sets the pins of the state of this name, and of no other, before the driver starts.
    assert strings(bus["pinctrl-names"]) == ["default"]
    meter = tree[labels[METER_BUS[board.name]] + "/power-sensor@40"]
    assert (strings(meter["compatible"]), cell(meter["reg"]), cell(meter["shunt-resistor"])) == (
        ["ti,ina226"],
        0x40,
        10_000,
    )


def test_radxas_menu_is_told_the_board_and_the_pins(tmp_path: Path) -> None:
    board = BOARDS["rock-5b"]
    _, tree = trees(board, named(board, "ina226"), tmp_path)
    # What is outside of every label's fragment is not applied: only the file has it.
    assert "/metadata" not in tree
    told = read_tree((tmp_path / "edged-ina226.dtbo").read_bytes(), "overlay")["/metadata"]
    bank_and_pin = SOCS[board.name].pins[METER_PINS[board.name]]
    pins = {f"GPIO{bank}_{pin}" for bank, pin in by_two(bank_and_pin)}
    assert set(strings(told["exclusive"])) == pins
    assert set(strings(told["compatible"])) <= board.compatible
    assert strings(told["category"]) == ["misc"]
    assert told.keys() == {"title", "compatible", "category", "exclusive", "description"}


def by_two(numbers: Sequence[int]) -> list[tuple[int, str]]:
    """Return (bank, pin) of a pin group, the pin by its name: 18 is C2."""
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return [(bank, f"{'ABCD'[pin // 8]}{pin % 8}") for bank, pin in pairs]


@EACH_BOARD
def test_the_cap_leaves_the_set_of_clocks_as_it_was(board: Board, tmp_path: Path) -> None:
    before, after = trees(board, named(board, "npu-cap"), tmp_path)
    assert children(after, "/npu-opp-table") == children(before, "/npu-opp-table")
    assert children(after, "/npu-opp-table") == set(SOCS[board.name].clocks)


@EACH_BOARD
@pytest.mark.parametrize("family", ["opp-", "opp-j-m-"])
def test_the_fastest_clock_that_is_left_is_700_mhz(
    board: Board, family: str, tmp_path: Path
) -> None:
    _, tree = trees(board, named(board, "npu-cap"), tmp_path)
    left = clocks_left(tree, family)
    assert (max(left), cell(tree["/npu-opp-table"]["rockchip,init-freq"]) * 1000) == (
        CAP_HZ,
        CAP_HZ,
    )


@EACH_BOARD
def test_every_clock_up_to_the_cap_stays(board: Board, tmp_path: Path) -> None:
    before, after = trees(board, named(board, "npu-cap"), tmp_path)
    slow = {hz for hz in clocks_left(before, "opp-") if hz <= CAP_HZ}
    assert clocks_left(after, "opp-") == slow


def test_a_wrong_clock_name_adds_a_node_and_caps_nothing(tmp_path: Path) -> None:
    text = '/dts-v1/;\n/plugin/;\n&npu_opp_table { opp-801000000 { status = "disabled"; }; };\n'
    base, file, target = blob("rock-5b", tmp_path / "base.dtb"), tmp_path / "x", tmp_path / "y"
    run("dtc", "-@", "-I", "dts", "-O", "dtb", "-o", str(file), "-", text=text)
    run("fdtoverlay", "-i", str(base), "-o", str(target), str(file))
    tree = read_tree(target.read_bytes(), "capped")
    assert "opp-801000000" in children(tree, "/npu-opp-table")
    assert max(clocks_left(tree, "opp-")) == 1_000_000_000


def test_the_watchdog_goes_from_off_to_on(tmp_path: Path) -> None:
    board = BOARDS[WATCHDOG_OFF]
    before, after = trees(board, named(board, "watchdog"), tmp_path)
    path = strings(before["/__symbols__"]["wdt"])[0]
    assert (before[path]["status"], after[path]["status"]) == (b"disabled\0", b"okay\0")


@EACH_OVERLAY
def test_of_all_overlays_mainline_takes_all_but_the_cap(
    board: Board, overlay: Overlay, tmp_path: Path
) -> None:
    file, _ = compiled(board, overlay, tmp_path)
    base = blob(board.name, tmp_path / "base.dtb", "mainline")
    done = attempt("fdtoverlay", "-i", str(base), "-o", str(tmp_path / "after.dtb"), str(file))
    taken = overlay.name != "npu-cap"
    assert (done.returncode == 0, "FDT_ERR_NOTFOUND" in done.stderr) == (taken, not taken)


@EACH_OVERLAY
def test_a_tree_without_symbols_takes_no_overlay(
    board: Board, overlay: Overlay, tmp_path: Path
) -> None:
    file, _ = compiled(board, overlay, tmp_path)
    base = blob(board.name, tmp_path / "base.dtb", symbols=False)
    done = attempt("fdtoverlay", "-i", str(base), "-o", str(tmp_path / "after.dtb"), str(file))
    assert done.returncode != 0


@pytest.mark.parametrize("overlay", BOARDS["rock-5b"].overlays[:1], ids=lambda one: one.name)
def test_a_meter_of_the_rk3588_does_not_apply_to_the_rk3576(
    overlay: Overlay, tmp_path: Path
) -> None:
    file, _ = compiled(BOARDS["rock-5b"], overlay, tmp_path)
    base = blob("armsom-sige5", tmp_path / "base.dtb")
    done = attempt("fdtoverlay", "-i", str(base), "-o", str(tmp_path / "after.dtb"), str(file))
    assert done.returncode != 0


def compiled(board: Board, overlay: Overlay, folder: Path) -> tuple[Path, str]:
    """Compile an overlay with every warning that dtc has; return the file and what dtc said."""
    file = folder / f"{overlay.installed}.dtbo"
    source = str(board.source(overlay))
    done = run("dtc", "-@", "-I", "dts", "-O", "dtb", "-o", str(file), source)
    return file, done.stderr


def trees(
    board: Board, overlay: Overlay, folder: Path, kernel: Kernel = "vendor"
) -> tuple[Tree, Tree]:
    """Return the board's small tree before and after an overlay."""
    file, _ = compiled(board, overlay, folder)
    base, target = blob(board.name, folder / "base.dtb", kernel), folder / "after.dtb"
    run("fdtoverlay", "-i", str(base), "-o", str(target), str(file))
    return read_tree(base.read_bytes(), "base"), read_tree(target.read_bytes(), "after")


def named(board: Board, name: str) -> Overlay:
    """Return one of a board's overlays."""
    return next(overlay for overlay in board.overlays if overlay.name == name)


def clocks_left(tree: Tree, family: str) -> set[int]:
    """Return the clocks of the NPU, in Hz, that the kernel would read of one family of names."""
    table = "/npu-opp-table"
    found = [name for name in children(tree, table) if name.removeprefix(family).isdigit()]
    nodes = [tree[f"{table}/{name}"] for name in found]
    enabled = [node for node in nodes if node.get("status") != b"disabled\0"]
    return {int.from_bytes(node["opp-hz"], "big") for node in enabled}


def cell(value: bytes) -> int:
    """Return a property of one 32-bit number."""
    number: int = struct.unpack(">I", value)[0]
    return number
