"""What becomes of a reading: judged, dated, charged, and learned from.

In:  readings with their time, what ran lately.     Out: joules in the ledger; gains, floor and
doubt of the forecast.
Pure; time is whatever monotonic seconds the caller uses.
"""

from __future__ import annotations

import math
from collections.abc import Reversible
from dataclasses import dataclass

from edged.power.dating import Dating, least_w, mean_w
from edged.power.doubt import Doubt
from edged.power.forecast import Forecast
from edged.power.ledger import KEPT_S, Ledger
from edged.power.plausible import Metered, Trust
from edged.power.stretch import Stretch, almost_all

# The floor is learned when nothing ran for so long: spinning, DDR tail and NPU tail are over.
QUIET_S = 4.0
# A reading below the forecast by more than this is charged as this: no sudden headroom.
CHARGED_SHARE = 0.9
# What that added may be taken off at the next reading, and of the rest so much at the one after: in
# half a second or never.
LENT_KEPT = 0.7
# A reading behind a longer gap is not of all of it: one between them was missed, or was equal.
GAP_LENGTHS = 1.5
# Where no reading of so many seconds was of one phase, their mean teaches both. The ledger keeps
# so much of both traces whatever its window.
MIXED_S = KEPT_S


@dataclass(frozen=True, slots=True)
class Ran:
    """What ran lately.

    Attributes:
        stretches: which phase ran when, newest last.
        idle_since_s: when the last step ended; infinite while one runs.
    """

    stretches: Reversible[Stretch]
    idle_since_s: float


class Metering:
    """One board's readings.

    Args:
        forecast: learns from them.
        ledger: is charged.
        doubt: ends where a phase was seen.
        trust: judges them.
        board_known: whether the nominal floor is this board's.
    """

    def __init__(
        self, forecast: Forecast, ledger: Ledger, doubt: Doubt, trust: Trust, *, board_known: bool
    ) -> None:
        self._forecast = forecast
        self._ledger = ledger
        self._doubt = doubt
        self._trust = trust
        self._board_known = board_known
        self._most_w = forecast.most_w if board_known else math.inf
        self._dating = Dating()
        self._mixed_s = ledger.metered_s
        self._was_pure = False
        self._lent_j = self._added_j = 0.0

    def take(self, now_s: float, reading: Metered | None, ran: Ran) -> bool:
        """Take a tick; return whether its reading was used. None: the meter does not answer."""
        # A known board's nominal floor counts until its own was learned: work may come at once.
        forecast = self._forecast
        floor_w = forecast.floor_w if self._board_known else forecast.learned.floor_w
        expected_w = self._expected_w(now_s, reading)
        usable = self._trust.takes(reading, expected_w, floor_w, self._most_w)
        if usable and reading is not None:
            self._charge(reading, now_s - reading.age_s - self._dating.lag_s, expected_w, ran)
        else:
            self._ledger.meter_as_forecast(now_s)
        return usable

    def _expected_w(self, now_s: float, reading: Metered | None) -> float:
        """Return the forecast's mean of the time that a reading is of."""
        if reading is None or not (math.isfinite(reading.age_s) and reading.averaging_s > 0):
            return self._forecast.floor_w
        end_s = now_s - reading.age_s - self._dating.lag_s
        return mean_w(self._ledger.forecast, end_s, reading.averaging_s)

    def _charge(self, reading: Metered, end_s: float, expected_w: float, ran: Ran) -> None:
        """Enter a usable reading into the ledger; learn from it."""
        ledger, length_s = self._ledger, reading.averaging_s
        if end_s - ledger.metered_s > GAP_LENGTHS * length_s:
            ledger.meter_as_forecast(end_s - length_s)
        ledger.meter(end_s, self._charged_w(reading, end_s))
        if self._trust.is_trusted and self._trust.is_news:
            told_s = end_s + self._dating.lag_s
            self._learn(reading.power_w, expected_w, end_s - 1.5 * length_s, end_s, ran)
            self._dating.learn(ledger.forecast, reading.power_w, told_s, length_s)
            self._learn_mixed(end_s)

    def _charged_w(self, reading: Metered, end_s: float) -> float:
        """Return what a reading is charged as: at least nine tenths of the least that it can be of.

        Watts rise and fall a little after the step: the reading of its begin is too low, the next
        one too high by as much. So what is added to the one is taken off the other.
        """
        forecast, length_s = self._ledger.forecast, reading.averaging_s
        covered_s = end_s - self._ledger.metered_s
        if covered_s <= 0:
            return reading.power_w
        least_j = CHARGED_SHARE * least_w(forecast, end_s, length_s) * covered_s
        read_j, expected_j = (
            power_w * covered_s for power_w in (reading.power_w, mean_w(forecast, end_s, length_s))
        )
        added_j = max(least_j - read_j, -min(self._lent_j, max(0.0, read_j - expected_j)))
        self._lent_j = LENT_KEPT * (self._lent_j + min(0.0, added_j)) + max(0.0, added_j)
        self._added_j += added_j
        return reading.power_w + added_j / covered_s

    def _learn(
        self, metered_w: float, expected_w: float, start_s: float, end_s: float, ran: Ran
    ) -> None:
        """Learn from a reading where it is of one thing only."""
        if start_s - ran.idle_since_s > QUIET_S:
            self._forecast.learn_floor(metered_w)
            return
        phase = almost_all(ran.stretches, start_s, end_s)
        if phase is not None:
            self._was_pure = True
            self._forecast.learn_power(phase, metered_w, expected_w)
            self._doubt.teach(phase)

    def _learn_mixed(self, end_s: float) -> None:
        """Learn from the mean of some seconds where steps and pauses were shorter than readings.

        A forecast that is far too high would else make them so short that nothing teaches it.
        """
        length_s, ledger = end_s - self._mixed_s, self._ledger
        if 0 <= length_s < MIXED_S:
            return
        if length_s < 2 * MIXED_S and not self._was_pure:
            charged_j = ledger.joules_at(end_s) - ledger.joules_at(self._mixed_s)
            metered_w = (charged_j - self._added_j) / length_s
            self._forecast.learn_mixed(metered_w, mean_w(ledger.forecast, end_s, length_s))
        self._mixed_s, self._was_pure, self._added_j = end_s, False, 0.0
