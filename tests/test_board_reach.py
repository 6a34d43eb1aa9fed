"""Only points whose clocks a board offers are chosen from, and its full speed is one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.knobs.kernel import KernelKnobs
from edged.board.reach import reachable
from edged.board.soc import DOMAINS, RK3588, SOCS, Domain, operating_points
from tests.golden_tree import EACH_BOARD, tree
from tests.memory import tmp_path as tmp_path

POINTS = operating_points(RK3588)
CLOCKS_HZ = st.sets(st.integers(200, 3000).map(lambda clock_mhz: clock_mhz * 1e6), min_size=1)
TABLES = st.fixed_dictionaries({domain: CLOCKS_HZ.map(sorted).map(tuple) for domain in DOMAINS})


@EACH_BOARD
def test_every_point_is_of_the_tables_of_the_board_and_the_last_is_its_full_speed(
    tmp_path: Path, board: str
) -> None:
    knobs = KernelKnobs.discover(tree(tmp_path, board), tmp_path)
    tables = {one: knobs.steps_hz(one) for one in DOMAINS if one in knobs.domains}
    soc = SOCS["rk3576" if board == "sige5" else "rk3588"]
    found = reachable(operating_points(soc, knobs.domains), tables)
    for domain, table in tables.items():
        assert {point.clocks.by_domain[domain] for point in found} <= set(table)
        assert found[-1].clocks.by_domain[domain] == table[-1]


@given(TABLES)
def test_a_board_of_any_tables_has_a_point_of_them(
    tables: dict[Domain, tuple[float, ...]],
) -> None:
    found = reachable(POINTS, tables)
    assert found
    for point in found:
        for domain, clock_hz in point.clocks.by_domain.items():
            assert clock_hz in tables[domain]


def test_a_domain_without_a_table_keeps_the_clocks_of_its_soc() -> None:
    assert reachable(POINTS, {}) == POINTS


def test_a_top_clock_between_two_of_the_soc_counts_as_the_faster_one() -> None:
    table = (408e6, 1200e6, 2256e6)
    found = reachable(operating_points(RK3588, frozenset({"cpu"})), {"cpu": table})
    full = operating_points(RK3588, frozenset())[0]
    assert [point.clocks.cpu_hz for point in found] == list(table)
    assert found[-1].prefill_w == pytest.approx(full.prefill_w)


def test_a_clock_that_the_kernel_rounds_is_the_same_clock() -> None:
    found = reachable(operating_points(RK3588, frozenset({"npu"})), {"npu": (300e6, 999.9e6)})
    assert [point.clocks.npu_hz for point in found] == [300e6, 999.9e6]
