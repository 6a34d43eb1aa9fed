"""Clocks are capped on every board, and stay so beside heat and other programs.

Method: golden trees.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.knobs.cap import Cap, find_caps
from edged.board.knobs.kernel import LEFT_S, KernelKnobs
from edged.board.knobs.watch import CONTEST_S, CONTEST_WRITES
from edged.board.soc import Clocks
from edged.errors import KnobRefused
from tests.golden_tree import BOARDS, EACH_BOARD, Ticks, tree
from tests.knobs_fixtures import BEFORE, CPU4, CPU6, DDR, FULL, NPU, SLOW, counts, knobs
from tests.knobs_fixtures import root as root
from tests.knobs_fixtures import state as state
from tests.memory import tmp_path as tmp_path


def test_every_clock_is_capped(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(SLOW)
    assert counts(root) == {NPU: 500000000, DDR: 1068000000, CPU4: 1200000, CPU6: 1200000}


@EACH_BOARD
def test_each_board_takes_the_caps_that_it_has(tmp_path: Path, board: str) -> None:
    root = tree(tmp_path / "sys", board)
    found = knobs(root, tmp_path)
    found.set_clocks(SLOW)
    assert found.domains == ({"cpu"} if board == "mainline" else {"npu", "cpu", "ddr"})
    for cap in find_caps(root):
        in_force_hz = cap.in_force_hz()
        assert in_force_hz in cap.steps_hz
        wanted_hz = {"npu": SLOW.npu_hz, "cpu": SLOW.cpu_hz, "ddr": SLOW.ddr_hz}[cap.domain]
        assert in_force_hz is not None
        assert in_force_hz <= wanted_hz


def test_a_clock_that_the_table_lacks_becomes_the_next_one_below(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(Clocks(npu_hz=850e6, cpu_hz=1e9, ddr_hz=1060e6))
    assert counts(root) == {NPU: 800000000, DDR: 528000000, CPU4: 816000, CPU6: 816000}


@given(st.floats(1e8, 4e9), st.sets(st.sampled_from([3e8, 5e8, 7e8, 9.5e8, 1e9]), min_size=1))
def test_a_step_is_of_the_table_and_not_over_what_was_asked(
    asked_hz: float, table: set[float]
) -> None:
    cap = Cap("npu", Path("x"), "max_freq", "cur_freq", 1.0, tuple(sorted(table)))
    step_hz = cap.step_under(asked_hz)
    assert step_hz in table
    assert step_hz <= asked_hz * 1.001 or step_hz == min(table)


def test_discovery_writes_nothing(root: Path, state: Path) -> None:
    found = KernelKnobs.discover(root, state)
    assert found.domains == {"npu", "cpu", "ddr"}
    assert (counts(root), list(state.iterdir())) == (BEFORE, [])


def test_a_cap_from_before_stays_the_limit(root: Path, state: Path) -> None:
    (root / NPU).write_text("800000000\n")
    found = knobs(root, state)
    found.set_clocks(FULL)
    assert counts(root)[NPU] == 800000000
    found.restore()
    assert counts(root)[NPU] == 800000000


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("class/thermal/thermal_zone0/temp", "86000\n"),
        ("class/thermal/cooling_device1/cur_state", "3\n"),
    ],
)
def test_a_cap_of_the_heat_is_not_taken_for_the_owners(
    root: Path, state: Path, path: str, text: str
) -> None:
    (root / path).write_text(text)
    (root / NPU).write_text("800000000\n")  # the kernel's own, while it is hot
    found = knobs(root, state)
    found.set_clocks(SLOW)
    found.restore()
    assert counts(root)[NPU] == 1000000000


def test_a_fan_at_work_is_no_cap_of_the_heat(tmp_path: Path, state: Path) -> None:
    root = tree(tmp_path / "mainline", "mainline")  # its fan turns
    (root / CPU4).write_text("1800000\n")
    found = knobs(root, state)
    found.set_clocks(SLOW)
    found.restore()
    assert int((root / CPU4).read_text()) == 1800000


def test_a_cap_that_was_overwritten_is_written_again(root: Path, state: Path) -> None:
    found = knobs(root, state)
    found.set_clocks(SLOW)
    (root / NPU).write_text("1000000000\n")
    found.check(is_busy=False)
    assert counts(root)[NPU] == 500000000


def test_a_cap_that_is_overwritten_again_and_again_is_left_to_the_other(
    root: Path, state: Path
) -> None:
    clock = Ticks()
    found = knobs(root, state, clock)
    found.set_clocks(SLOW)
    for _ in range(CONTEST_WRITES):
        (root / NPU).write_text("900000000\n")
        found.check(is_busy=False)
    (root / NPU).write_text("900000000\n")
    with pytest.raises(KnobRefused, match="another program sets this clock"):
        found.check(is_busy=False)
    clock.step(LEFT_S - 1)
    with pytest.raises(KnobRefused, match="another program sets this clock"):
        found.set_clocks(SLOW)
    found.restore()
    assert counts(root) == {**BEFORE, NPU: 900000000}
    clock.step(1)
    found.set_clocks(SLOW)
    assert counts(root)[NPU] == 500000000


def test_a_cap_that_is_overwritten_now_and_then_is_not_contested(root: Path, state: Path) -> None:
    clock = Ticks()
    found = knobs(root, state, clock)
    found.set_clocks(SLOW)
    for _ in range(3 * CONTEST_WRITES):
        (root / NPU).write_text("1000000000\n")
        found.check(is_busy=False)
        clock.step(CONTEST_S)
    assert found.domains == {"npu", "cpu", "ddr"}


@pytest.mark.parametrize("board", [board for board in BOARDS if board != "mainline"])
def test_the_steps_of_a_board_are_those_that_all_its_caps_offer(tmp_path: Path, board: str) -> None:
    found = knobs(tree(tmp_path / "sys", board), tmp_path)
    assert len(found.steps_hz("ddr")) == 4
    assert max(found.steps_hz("npu")) == {"sige5": 950e6, "rk3588j": 800e6}.get(board, 1000e6)
