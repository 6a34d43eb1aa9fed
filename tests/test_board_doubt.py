"""What cannot be true in a meter is named. Method: readings as they would come, and properties."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.meter import Reading
from edged.board.meters.counter import SHORTEST_S, EnergyCounter
from edged.board.meters.doubt import SPIKES_MAX, Bounds, Doubt
from edged.board.meters.fault import MeterFault

BOUNDS = Bounds()
PERIOD_S = 0.125


def reading(watts_w: float, at_s: float = 0.0) -> Reading:
    return Reading(watts_w, at_s, PERIOD_S, 0.02, "ina226@1-0040")


def fault(doubt: Doubt, watts_w: float, at_s: float = 0.0, late_s: float = 0.0) -> str | None:
    try:
        doubt.judge(reading(watts_w, at_s), at_s + late_s)
    except MeterFault as error:
        return error.fault
    return None


def faults(watts: list[float]) -> list[str | None]:
    doubt = Doubt(BOUNDS)
    return [fault(doubt, watts_w, place * PERIOD_S) for place, watts_w in enumerate(watts)]


@given(st.lists(st.floats(BOUNDS.least_w, BOUNDS.most_w), max_size=30, unique=True))
def test_readings_of_a_running_board_are_believed(watts: list[float]) -> None:
    assert faults(watts) == [None] * len(watts)


@given(st.floats() | st.sampled_from([0.0, -0.0, math.nan, math.inf]))
def test_what_is_believed_is_within_the_bounds(watts_w: float) -> None:
    if faults([watts_w]) == [None]:
        assert BOUNDS.least_w <= watts_w <= BOUNDS.most_w


def test_no_watts_at_all_is_a_fault() -> None:
    assert faults([4.0, 0.0, 4.1]) == [None, "zero", None]


@pytest.mark.parametrize("watts_w", [8000.0, 0.1, -3.0, math.nan, math.inf])
def test_one_reading_out_of_bounds_is_a_spike(watts_w: float) -> None:
    assert faults([4.0, watts_w, 4.1]) == [None, "spike", None]


@pytest.mark.parametrize("watts_w", [60.0, 0.14, -4.0])
def test_readings_out_of_bounds_for_ever_are_a_wrong_shunt(watts_w: float) -> None:
    found = faults([watts_w + place / 1000 for place in range(SPIKES_MAX + 2)])
    assert found == ["spike"] * (SPIKES_MAX - 1) + ["wrong_shunt"] * 3


def test_a_shunt_that_is_wired_the_wrong_way_is_told() -> None:
    doubt = Doubt(BOUNDS)
    for _ in range(SPIKES_MAX - 1):
        fault(doubt, -4.0)
    with pytest.raises(MeterFault, match="the shunt flows backwards"):
        doubt.judge(reading(-4.0), 0.0)


def test_a_meter_that_never_moves_is_stuck() -> None:
    doubt = Doubt(BOUNDS)
    found = [fault(doubt, 24.0, at_s) for at_s in (*range(30), 29.9, 30, 34, 39)]
    assert found == [None] * 31 + ["stuck"] * 3


def test_a_meter_that_nobody_read_meanwhile_is_not_stuck() -> None:
    doubt = Doubt(BOUNDS)
    assert [fault(doubt, 1.40625, at_s) for at_s in (0, 1, 3601, 3602)] == [None] * 4


def test_a_stuck_meter_that_moves_again_is_believed() -> None:
    doubt = Doubt(BOUNDS)
    assert [fault(doubt, 4.0, at_s) for at_s in range(31)][-1] == "stuck"
    assert fault(doubt, 4.1, 31) is None


@pytest.mark.parametrize(
    ("late_s", "expected"),
    [(0.0, None), (1.1, None), (1.2, "stale"), (math.nan, "stale"), (-5.0, "stale")],
)
def test_a_reading_of_another_time_is_stale(late_s: float, expected: str | None) -> None:
    assert fault(Doubt(BOUNDS), 4.0, 100.0, late_s) == expected


def test_a_fault_says_figure_and_limit() -> None:
    with pytest.raises(MeterFault, match=r"reads 8000\.000 W; a running board draws 0\.3 to 50 W"):
        Doubt(BOUNDS).judge(reading(8000.0), 0.0)


@given(
    st.lists(st.tuples(st.floats(0.1, 60), st.floats(0.05, 5)), min_size=1, max_size=20),
    st.integers(10**8, 10**12),
)
def test_a_counter_loses_no_joule_where_it_wraps(
    pieces: list[tuple[float, float]], range_uj: int
) -> None:
    counter = EnergyCounter(range_uj)
    counter.take(0.0, 0.0)
    at_s = total_uj = seen_j = 0.0
    for watts_w, length_s in pieces:
        step_uj = min(watts_w * length_s * 1e6, range_uj - 1)
        at_s, total_uj = at_s + length_s, total_uj + step_uj
        interval = counter.take(total_uj % range_uj, at_s)
        assert interval is not None
        seen_j += interval.mean_w * interval.length_s
    assert seen_j == pytest.approx(total_uj / 1e6, rel=1e-6)


def test_looks_too_close_together_are_one() -> None:
    counter = EnergyCounter()
    counter.take(0.0, 0.0)
    assert counter.take(1e6, SHORTEST_S / 2) is None
    interval = counter.take(2e6, 1.0)
    assert interval is not None
    assert interval.mean_w == 2.0


def test_a_counter_of_unknown_range_that_falls_starts_again() -> None:
    counter = EnergyCounter()
    counter.take(9e6, 0.0)
    assert counter.take(1e6, 1.0) is None
    interval = counter.take(4e6, 2.0)
    assert interval is not None
    assert interval.mean_w == 3.0
