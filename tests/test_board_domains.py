"""Each board's clocks are found by what its nodes say. Method: golden trees."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edged.board.domains import big_policies, compatible, regulator, soc_of
from edged.board.knobs.cap import find_caps
from tests.golden_tree import BOARDS, EACH_BOARD, tree
from tests.memory import tmp_path as tmp_path


def caps(root: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for cap in find_caps(root):
        found[cap.domain] = (*found.get(cap.domain, ()), cap.name)
    return found


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        ("orangepi_5", {"npu": ("fdab0000.npu",), "ddr": ("dmc",), "cpu": ("policy4", "policy6")}),
        ("rock_5b", {"npu": ("fdab0000.npu",), "ddr": ("dmc",), "cpu": ("policy4", "policy6")}),
        ("nanopi_r6s", {"npu": ("fdab0000.npu",), "ddr": ("dmc",), "cpu": ("policy4", "policy6")}),
        ("rk3588j", {"npu": ("fdab0000.npu",), "ddr": ("dmc",), "cpu": ("policy4", "policy6")}),
        ("sige5", {"npu": ("27700000.npu",), "ddr": ("dmc",), "cpu": ("policy4",)}),
        ("mainline", {"cpu": ("policy4", "policy6")}),
    ],
)
def test_each_board_has_its_clocks(
    tmp_path: Path, board: str, expected: dict[str, tuple[str, ...]]
) -> None:
    assert caps(tree(tmp_path, board)) == expected


def test_a_board_whose_firmware_has_no_dmc_has_two_kinds_of_clocks(tmp_path: Path) -> None:
    root = tree(tmp_path, "rock_5b")
    (root / "class/devfreq/dmc").unlink()
    shutil.rmtree(root / "devices/platform/dmc")
    assert set(caps(root)) == {"npu", "cpu"}


def test_every_clock_is_in_hertz(tmp_path: Path) -> None:
    for cap in find_caps(tree(tmp_path, "rock_5b")):
        assert 0.3e9 <= min(cap.steps_hz) < max(cap.steps_hz) <= 2.4e9
        assert cap.in_force_hz() == max(cap.steps_hz)


def test_the_industrial_soc_has_a_shorter_table(tmp_path: Path) -> None:
    tops = {cap.domain: max(cap.steps_hz) for cap in find_caps(tree(tmp_path, "rk3588j"))}
    assert (tops["npu"], tops["cpu"]) == (800e6, 1608e6)


def test_a_core_is_big_by_its_capacity_not_by_its_clock(tmp_path: Path) -> None:
    # 2,016 MHz of the RK3576's little cores are 91 % of the big ones' 2,208.
    assert [one.name for one in big_policies(tree(tmp_path, "sige5"))] == ["policy4"]


def test_without_capacities_the_highest_clock_decides(tmp_path: Path) -> None:
    root = tree(tmp_path, "rock_5b")
    for path in (root / "devices/system/cpu").glob("cpu*/cpu_capacity"):
        path.unlink()
    assert [one.name for one in big_policies(root)] == ["policy4", "policy6"]


@pytest.mark.parametrize(
    ("board", "soc"),
    [(board, "rk3576" if board == "sige5" else "rk3588") for board in BOARDS],
)
def test_the_device_tree_names_the_soc(tmp_path: Path, board: str, soc: str) -> None:
    found = soc_of(tree(tmp_path, board))
    assert found is not None
    assert found.name == soc


def test_a_machine_without_a_device_tree_is_unknown(tmp_path: Path) -> None:
    root = tree(tmp_path, "x86")
    assert (compatible(root), soc_of(root)) == ((), None)


@EACH_BOARD
def test_the_rail_of_the_npu_is_found_by_name(tmp_path: Path, board: str) -> None:
    rail = regulator(tree(tmp_path, board), "vdd_npu")
    assert rail is not None
    assert (rail / "name").read_text() == "vdd_npu_s0\n"


def test_a_machine_without_anything_has_no_clocks(tmp_path: Path) -> None:
    assert find_caps(tmp_path) == ()
