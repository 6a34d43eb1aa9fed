"""The virtual board in the daemon's time: it catches up, whoever asks and however late."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.soc import KNOBS, RK3588, on_cpu, operating_points
from edged.board.virtual.live import KEPT_S, LiveBoard
from edged.board.virtual.plant import FORGOTTEN_ENTRIES, drawn
from edged.errors import MeterLost


class Clock:
    """Seconds that a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def live(clock: Clock, *, keeps_all: bool = True) -> LiveBoard:
    return LiveBoard(drawn(RK3588, 0), KNOBS, clock, keeps_all=keeps_all)


def test_before_its_first_conversion_the_meter_says_nothing() -> None:
    with pytest.raises(MeterLost):
        live(Clock()).read()


def test_a_reading_is_simulated_and_says_when_it_was() -> None:
    clock = Clock()
    board = live(clock)
    clock.now_s += 10.0
    reading = board.read()
    assert reading.origin == "simulated"
    assert reading.watts_w == pytest.approx(RK3588.idle_w, abs=0.1)
    assert clock.now_s - reading.averaging_s <= reading.at_s <= clock.now_s


@given(st.lists(st.floats(0.01, 2.0), min_size=1, max_size=20))
def test_it_draws_the_same_however_often_it_is_asked(pauses_s: list[float]) -> None:
    often, seldom = (Clock(), Clock())
    asked, unasked = live(often), live(seldom)
    for board in (asked, unasked):
        board.run("decode")
    for pause_s in pauses_s:
        often.now_s += pause_s
        asked.run("decode")
    seldom.now_s = often.now_s
    for board in (asked, unasked):
        board.run(None)
    assert asked.board.joules[-1] == pytest.approx(unasked.board.joules[-1], rel=1e-3)


def test_clocks_that_are_asked_for_come_into_force_between_steps() -> None:
    clock = Clock()
    board = live(clock)
    board.run("decode")
    board.set_clocks(board.board.points[0].clocks)
    clock.now_s += 1.0
    before = board.board.place
    board.run(None)
    assert (before, board.board.place) == (len(board.board.points) - 1, 0)


def test_restored_clocks_are_full_ones() -> None:
    clock = Clock()
    board = live(clock)
    board.set_clocks(board.board.points[0].clocks)
    clock.now_s += 1.0
    board.run(None)
    board.restore()
    clock.now_s += 1.0
    board.run(None)
    assert board.board.place == len(board.board.points) - 1


def test_a_board_that_runs_for_days_keeps_a_minute_of_its_truth() -> None:
    clock = Clock()
    board = live(clock, keeps_all=False)
    for _ in range(20):
        clock.now_s += 200.0
        board.read()
    assert len(board.board.times_s) < FORGOTTEN_ENTRIES + 2 * 200 / 0.141
    assert board.board.times_s[0] < clock.now_s - KEPT_S


def test_reading_in_a_thread_while_steps_run_loses_no_joule() -> None:
    clock = Clock()
    board = live(clock)

    def read() -> None:
        for _ in range(200):
            clock.now_s += 0.01
            try:
                board.read()
            except MeterLost:
                continue

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(200):
        board.run("decode")
        board.run(None)
    thread.join()
    board.run(None)
    assert board.board.joules == sorted(board.board.joules)
    assert board.board.now_s == pytest.approx(clock.now_s - 100.0)


def test_on_the_cpu_the_npu_draws_nothing_and_the_cores_are_busy() -> None:
    full = operating_points(on_cpu(RK3588))[-1]
    lowest_npu = next(
        point
        for point in operating_points(on_cpu(RK3588))
        if point.clocks.cpu_hz == full.clocks.cpu_hz and point.clocks.ddr_hz == full.clocks.ddr_hz
    )
    assert lowest_npu.decode_w == full.decode_w
    assert full.decode_w > RK3588.cpu_top_w
