from __future__ import annotations

import pytest

from edged.power.dating import JITTER_S, LAGS_S, Dating, least_w, mean_w
from edged.power.trace import Trace

MEAN_S = 0.125


def alternating(until_s: float = 60.0) -> Trace:
    """Return a forecast of pauses and steps by turns."""
    trace, number = Trace(0.0, 1.5), 0
    while trace.end_s < until_s:
        trace.extend(trace.end_s + (0.45 if number % 2 else 0.23), 1.5 if number % 2 else 9.0)
        number += 1
    return trace


def learned(trace: Trace, late_s: float, gain: float = 1.0) -> Dating:
    """Return what readings teach that are so late and so wrong."""
    dating = Dating()
    for number in range(20, 450):
        end_s = number * MEAN_S
        dating.learn(trace, gain * mean_w(trace, end_s - late_s, MEAN_S), end_s, MEAN_S)
    return dating


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("late_s", LAGS_S)
def test_how_late_a_meter_is_shows_in_when_it_moves(late_s: float, gain: float) -> None:
    assert learned(alternating(), late_s, gain).lag_s == late_s


def test_a_board_that_draws_the_same_all_the_time_says_nothing_of_the_lag() -> None:
    trace = Trace(0.0, 4.0)
    trace.extend(60.0, 4.0)
    assert learned(trace, 0.15).lag_s == 0.0


def test_the_least_that_a_reading_can_be_of_is_before_the_step() -> None:
    trace = Trace(0.0, 1.5)
    trace.extend(10.0, 1.5)
    trace.extend(10.0 + JITTER_S, 9.0)
    end_s = trace.end_s
    assert mean_w(trace, end_s, JITTER_S) == pytest.approx(9.0)
    assert least_w(trace, end_s, JITTER_S) == pytest.approx(1.5)
