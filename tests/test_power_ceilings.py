"""A clock that the kernel holds down is not counted on until it may be free again."""

from __future__ import annotations

from edged.board.soc import RK3588, operating_points
from edged.power.ceilings import HELD_S, Ceilings

POINTS = operating_points(RK3588, frozenset({"cpu"}))


def cpu_hz(ceilings: Ceilings) -> list[float]:
    return [POINTS[place].clocks.cpu_hz for place in ceilings.usable(POINTS)]


def test_without_a_cap_of_the_kernel_every_point_counts() -> None:
    ceilings = Ceilings()
    assert not ceilings.see({}, 0.0)
    assert ceilings.usable(POINTS) == list(range(len(POINTS)))


def test_points_over_a_cap_of_the_kernel_do_not_count() -> None:
    ceilings = Ceilings()
    assert ceilings.see({"cpu": 1416e6}, 0.0)
    assert max(cpu_hz(ceilings)) == 1416e6


def test_a_cap_that_stays_the_same_is_no_news() -> None:
    ceilings = Ceilings()
    ceilings.see({"cpu": 1416e6}, 0.0)
    assert not ceilings.see({"cpu": 1416e6}, 1.0)


def test_a_cap_that_is_not_seen_under_ours_counts_for_a_while_and_is_tried_again() -> None:
    ceilings = Ceilings()
    ceilings.see({"cpu": 1416e6}, 0.0)
    assert not ceilings.see({}, HELD_S - 1.0)
    assert ceilings.see({}, HELD_S)
    assert ceilings.usable(POINTS) == list(range(len(POINTS)))


def test_a_cap_of_another_domain_leaves_points_that_do_not_touch_it() -> None:
    ceilings = Ceilings()
    ceilings.see({"cpu": 1416e6}, 0.0)
    ceilings.see({"ddr": RK3588.ddr[-1].clock_hz}, 1.0)
    assert max(cpu_hz(ceilings)) == 1416e6
