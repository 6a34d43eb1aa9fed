"""The clock of a chip's means is followed from its readings. Method: a chip in virtual time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.meters.conversions import Conversions

TOLD_S = 0.125
READ_S = 0.1134
HIGH_W, LOW_W = 9.0, 1.5


def joules(until_s: float, cycle_s: float) -> float:
    """Return what a load has drawn that is on for the first third of each cycle."""
    cycles, part_s = divmod(until_s, cycle_s)
    on_s = cycles * cycle_s / 3 + min(part_s, cycle_s / 3)
    return LOW_W * until_s + (HIGH_W - LOW_W) * on_s


def read(length_s: float, cycle_s: float, until_s: float) -> list[tuple[float, float]]:
    """Return (moment, watts) as a reader finds them: always the last whole mean."""
    found = []
    for number in range(2, int(until_s / READ_S)):
        now_s = number * READ_S
        ended = int(now_s / length_s)
        start_j, end_j = (joules(one * length_s, cycle_s) for one in (ended - 1, ended))
        # Noise of a few milliwatts, so that no two means are alike to the last digit.
        found.append((now_s, (end_j - start_j) / length_s + 0.003 * (7919 * ended % 13 - 6)))
    return found


def dated(readings: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return (end, watts) of each mean that the clock tells apart."""
    clock = Conversions(TOLD_S)
    ends = [(clock.end_s(watts_w, now_s), watts_w) for now_s, watts_w in readings]
    return [second for first, second in itertools.pairwise(ends) if second[0] > first[0]]


@given(st.floats(0.11, 0.15), st.floats(0.3, 1.5))
def test_what_the_means_add_up_to_is_what_was_drawn(length_s: float, cycle_s: float) -> None:
    means = dated(read(length_s, cycle_s, 60.0))
    settled = [mean for mean in means if mean[0] > 10.0]
    told_j = sum(
        watts_w * (end_s - before_s)
        for (before_s, _), (end_s, watts_w) in itertools.pairwise(settled)
    )
    drawn_j = joules(settled[-1][0], cycle_s) - joules(settled[0][0], cycle_s)
    assert told_j == pytest.approx(drawn_j, rel=0.03)


@pytest.mark.parametrize("cycle_s", [1.0, 1.3])
def test_equal_means_of_an_idle_board_lose_nobody_the_clock(cycle_s: float) -> None:
    length_s, quantum_w = 0.14, 0.025
    clock, last_w, offs_s = Conversions(TOLD_S), 0.0, []
    for number in range(2, int(60.0 / READ_S)):
        now_s = number * READ_S
        ended = int(now_s / length_s)
        start_j, end_j = (joules(one * length_s, cycle_s) for one in (ended - 1, ended))
        shown_w = round((end_j - start_j) / length_s / quantum_w) * quantum_w
        off_s = abs(clock.end_s(shown_w, now_s) - ended * length_s)
        if shown_w != last_w and now_s > 10.0:
            offs_s.append(off_s)
        last_w = shown_w
    assert max(offs_s) < length_s
    assert sum(offs_s) / len(offs_s) < length_s / 3


def test_another_figure_is_of_a_mean_that_ended_after_the_look_before() -> None:
    clock = Conversions(TOLD_S)
    for number in range(20):
        clock.end_s(2.0 + number, number * TOLD_S)
    clock.end_s(21.0, 20.5 * TOLD_S)  # still the last one, or one more that is equal
    assert clock.end_s(9.0, 21.5 * TOLD_S) >= 20.5 * TOLD_S


def test_a_mean_that_is_read_twice_ends_once() -> None:
    clock = Conversions(TOLD_S)
    clock.end_s(2.0, 0.0)
    clock.end_s(3.0, 0.12)
    assert clock.end_s(3.0, 0.2) == clock.end_s(3.0, 0.22)


def test_an_even_load_goes_on_being_read() -> None:
    clock = Conversions(TOLD_S)
    ends_s = [clock.end_s(2.0, number * READ_S) for number in range(100)]
    assert all(number * READ_S - end_s < 2.5 * TOLD_S for number, end_s in enumerate(ends_s))


@given(st.lists(st.tuples(st.floats(0.001, 3.0), st.floats(1.0, 9.0)), min_size=2, max_size=60))
def test_no_mean_ends_in_the_future_or_before_the_last_one(
    looks: list[tuple[float, float]],
) -> None:
    clock, now_s, last_s = Conversions(TOLD_S), 0.0, 0.0
    for passed_s, watts_w in looks:
        now_s += passed_s
        end_s = clock.end_s(watts_w, now_s)
        assert last_s <= end_s <= now_s
        last_s = end_s


def test_after_a_silence_the_clock_is_set_anew() -> None:
    clock = Conversions(TOLD_S)
    clock.end_s(2.0, 0.0)
    assert clock.end_s(3.0, 60.0) == pytest.approx(60.0, abs=TOLD_S)
