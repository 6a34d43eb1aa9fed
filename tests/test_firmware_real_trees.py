"""The overlays on the boards' real device trees, compiled from a kernel's sources that you name.

    EDGED_KERNEL_SOURCE=/path/to/linux tools/test --slow -k real_trees

The folder needs arch/arm64/boot/dts/rockchip and include/dt-bindings, of Rockchip's vendor kernel
or of mainline Linux. Also wants cpp, which comes with the C++ compiler.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.device_trees import NAMES, SOCS, WATCHDOG_OFF, Kernel, attempt, blob, run
from tests.test_firmware_overlays import (
    CAP_HZ,
    EACH_BOARD,
    EACH_OVERLAY,
    METER_BUS,
    METER_PINS,
    cell,
    clocks_left,
    compiled,
    named,
)
from tools.firmware_config.boards import Board, Overlay
from tools.firmware_config.flat_tree import Tree, children, read_tree, strings

SOURCE = os.environ.get("EDGED_KERNEL_SOURCE")
TABLE = "/npu-opp-table"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SOURCE is None, reason="EDGED_KERNEL_SOURCE names no kernel's sources"),
]


@EACH_OVERLAY
def test_the_real_tree_takes_what_its_kernel_has_a_place_for(
    board: Board, overlay: Overlay, tmp_path: Path
) -> None:
    before = real(board)
    done, after = applied(board, overlay, tmp_path)
    if overlay.name == "npu-cap" and kernel_of(before) == "mainline":
        assert (done.returncode == 0, "FDT_ERR_NOTFOUND" in done.stderr) == (False, True)
        return
    assert done.returncode == 0, done.stderr
    added = {path.rsplit("/", 1)[1] for path in after.keys() - before.keys()}
    assert added == overlay.adds


@EACH_BOARD
def test_the_cap_leaves_700_mhz_as_the_fastest_real_clock(board: Board, tmp_path: Path) -> None:
    before = real(board)
    if kernel_of(before) == "mainline":
        pytest.skip("mainline has no table of the NPU's clocks")
    _, after = applied(board, named(board, "npu-cap"), tmp_path)
    assert children(after, TABLE) == children(before, TABLE)
    assert [max(clocks_left(after, family)) for family in ("opp-", "opp-j-m-")] == [CAP_HZ] * 2


@EACH_BOARD
def test_nothing_else_that_is_on_uses_the_meters_pins(board: Board) -> None:
    tree = real(board)
    ours = pins_of(tree[labels(tree)[METER_PINS[board.name]]])
    used = dict(pins_in_use(tree))
    assert (len(used) > 10, [path for path, pins in used.items() if pins & ours]) == (True, [])


@EACH_BOARD
def test_the_meters_bus_is_off_and_empty(board: Board) -> None:
    tree = real(board)
    bus = labels(tree)[METER_BUS[board.name]]
    assert (tree[bus]["status"], children(tree, bus)) == (b"disabled\0", frozenset())


@EACH_BOARD
def test_the_small_tree_has_the_real_names(board: Board, tmp_path: Path) -> None:
    tree = real(board)
    kernel = kernel_of(tree)
    small = read_tree(blob(board.name, tmp_path / "small.dtb", kernel).read_bytes(), "small")
    assert strings(tree["/"]["compatible"])[0] == NAMES[board.name][kernel]
    for label, path in labels(small).items():
        assert labels(tree)[label].rsplit("/", 1)[1] == path.rsplit("/", 1)[1]
    for label in SOCS[board.name].pins.keys() & {METER_PINS[board.name]}:
        cells = struct.iter_unpack(">2I", small[labels(small)[label]]["rockchip,pins"])
        assert set(cells) == pins_of(tree[labels(tree)[label]])


@EACH_BOARD
def test_the_small_tree_has_the_real_clocks_and_watchdog(board: Board, tmp_path: Path) -> None:
    tree = real(board)
    if kernel_of(tree) == "mainline":
        pytest.skip("mainline has no table of the NPU's clocks, and all watchdogs on")
    small = read_tree(blob(board.name, tmp_path / "small.dtb").read_bytes(), "small")
    assert children(tree, TABLE) == children(small, TABLE)
    key = "rockchip,init-freq"
    assert cell(tree[TABLE][key]) == cell(small[TABLE][key])
    watchdog = tree[labels(tree)["wdt"]].get("status", b"okay\0")
    assert (watchdog == b"disabled\0") == (board.name == WATCHDOG_OFF)


@cache
def compile_real(board: Board) -> bytes:
    """Compile the board's tree as the kernel's makefiles do, with symbols."""
    source = Path(SOURCE or "")
    folder = source / "arch/arm64/boot/dts"
    text = folder / board.tree.replace(".dtb", ".dts")
    includes = ["-I", str(source / "include"), "-I", str(text.parent), "-I", str(folder)]
    command = ["cpp", "-nostdinc", "-undef", "-D__DTS__", "-x", "assembler-with-cpp", *includes]
    plain = subprocess.run([*command, str(text)], capture_output=True, text=True, check=True)
    with tempfile.NamedTemporaryFile(suffix=".dtb") as file:
        options = ["-q", "-@", "-I", "dts", "-O", "dtb", "-o", file.name, "-"]
        run("dtc", *options, text=plain.stdout)
        return Path(file.name).read_bytes()


def real(board: Board) -> Tree:
    """Return the board's real tree."""
    return read_tree(compile_real(board), board.name)


def applied(
    board: Board, overlay: Overlay, folder: Path
) -> tuple[subprocess.CompletedProcess[str], Tree]:
    """Return how fdtoverlay ended on the real tree, and the tree after it, or before if refused."""
    file, _ = compiled(board, overlay, folder)
    base, target = folder / "real.dtb", folder / "after.dtb"
    base.write_bytes(compile_real(board))
    done = attempt("fdtoverlay", "-i", str(base), "-o", str(target), str(file))
    after = read_tree(target.read_bytes(), "after") if done.returncode == 0 else real(board)
    return done, after


def kernel_of(tree: Tree) -> Kernel:
    """Return whose kernel a tree is from, by the table that only the vendor's has."""
    return "vendor" if TABLE in tree else "mainline"


def labels(tree: Tree) -> dict[str, str]:
    """Return where each label of a tree leads."""
    return {name: strings(path)[0] for name, path in tree["/__symbols__"].items()}


def pins_of(group: Mapping[str, bytes]) -> set[tuple[int, int]]:
    """Return (bank, pin) of each pin of a group: the first two of four cells."""
    value = group["rockchip,pins"]
    return {(bank, pin) for bank, pin, _, _ in struct.iter_unpack(">4I", value)}


def pins_in_use(tree: Tree) -> Iterator[tuple[str, set[tuple[int, int]]]]:
    """Yield each node that is not disabled, with the pins that its first state takes."""
    groups = {node["phandle"]: node for node in tree.values() if "rockchip,pins" in node}
    for path, node in tree.items():
        if node.get("status", b"okay\0") == b"okay\0" and "pinctrl-0" in node:
            handles = [handle for (handle,) in struct.iter_unpack("4s", node["pinctrl-0"])]
            found = [groups[handle] for handle in handles if handle in groups]
            yield path, set().union(*(pins_of(group) for group in found))
