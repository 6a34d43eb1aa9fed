from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.soc import RK3588, operating_points
from edged.power.budget import Budget
from edged.power.doubt import Doubt
from edged.power.forecast import Forecast, Learned
from edged.power.ledger import Ledger
from edged.power.metering import CHARGED_SHARE, Metering, Ran
from edged.power.plausible import Metered, Trust
from edged.power.stretch import Stretch

MEAN_S = 0.125


class Bench:
    """A board that pauses and steps by turns, faster than its meter averages."""

    def __init__(self, gain: float = 1.0) -> None:
        learned = Learned(floor_w=1.5, prefill_gain=gain, decode_gain=gain)
        self.forecast = Forecast(RK3588, operating_points(RK3588, frozenset()), learned)
        self.ledger = Ledger(Budget().limits(), 0.0)
        trust, doubt = Trust(), Doubt(learned)
        self.metering = Metering(self.forecast, self.ledger, doubt, trust, board_known=True)
        self.stretches = [Stretch(0.0, 0.0, None)]

    def tick(self, metered_w: float) -> None:
        """Step and pause within one mean, and read what the meter says of it."""
        start_s, point = self.ledger.forecast.end_s, self.forecast.points[-1]
        middle_s, end_s = start_s + MEAN_S / 2, start_s + MEAN_S
        self.ledger.expect(middle_s, self.forecast.step_w(point, "decode"))
        self.ledger.expect(end_s, self.forecast.floor_w)
        self.stretches += [Stretch(start_s, middle_s, "decode"), Stretch(middle_s, end_s, None)]
        reading = Metered(metered_w, "ina226", 0.0, MEAN_S, 0.02)
        self.metering.take(end_s, reading, Ran(self.stretches[-8:], math.inf))

    @property
    def forecast_w(self) -> float:
        """Return the mean that is forecast of a tick."""
        return (self.forecast.step_w(self.forecast.points[-1], "decode") + 1.5) / 2


def test_a_reading_far_under_the_forecast_gives_no_headroom() -> None:
    bench = Bench()
    for number in range(40):
        bench.tick(bench.forecast_w + number % 2 / 100)
    before_j = bench.ledger.joules_at(bench.ledger.metered_s)
    bench.tick(0.6 * bench.forecast_w)
    charged_j = bench.ledger.joules_at(bench.ledger.metered_s) - before_j
    assert charged_j >= 0.99 * CHARGED_SHARE * bench.forecast_w * MEAN_S


@pytest.mark.parametrize("gain", [0.6, 1.8])
def test_gains_come_right_where_no_reading_is_of_one_phase_alone(gain: float) -> None:
    true_w, bench = Bench().forecast_w, Bench(gain)
    for number in range(800):
        bench.tick(true_w + number % 2 / 100)
    assert bench.forecast_w == pytest.approx(true_w, rel=0.05)


def test_watts_that_follow_a_step_late_are_charged_once() -> None:
    bench, read_j = Bench(), 0.0
    for number in range(160):
        metered_w = (0.7, 1.3)[number % 2] * bench.forecast_w
        bench.tick(metered_w)
        read_j += metered_w * MEAN_S
    charged_j = bench.ledger.joules_at(bench.ledger.metered_s) - bench.ledger.joules_at(0.0)
    assert charged_j == pytest.approx(read_j, rel=0.005)


def test_what_is_charged_beyond_the_readings_teaches_no_gain() -> None:
    bench = Bench()
    true_w = bench.forecast_w
    for number in range(800):
        bench.tick((0.6, 1.4)[number % 2] * true_w)
    assert bench.forecast_w == pytest.approx(true_w, rel=0.02)


@given(st.lists(st.floats(0.6, 1.6), min_size=1, max_size=60))
def test_in_all_no_less_is_charged_than_was_read(shares: list[float]) -> None:
    bench, read_j = Bench(), 0.0
    for share in shares:
        metered_w = share * bench.forecast_w
        bench.tick(metered_w)
        read_j += metered_w * MEAN_S
        charged_j = bench.ledger.joules_at(bench.ledger.metered_s) - bench.ledger.joules_at(0.0)
        assert charged_j >= read_j - 1e-9
