"""The ledger of the last window: whether a step may start now.

In:  metered watts, late by a little; forecast watts for what is not metered yet.
Out: whether both windows, the long one and the peak, end at or under their limit with one more
step, and how long to pause if not.
Pure. Two rules stand together. The exact windows never let a mean over its limit. The allowance
lets unused joules be spent later only up to about one step: a bucket as deep as the window would
allow a quarter more in some windows, and exact windows alone go round in a limit cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edged.power.budget import Limits
from edged.power.trace import Trace

# Pauses are bunched: worker threads that spin eat shorter ones; longer ones are felt.
PAUSE_S_MIN = 0.05
PAUSE_S_MAX = 0.5
# A pause that lasts already may be made longer by as little: nothing spins any more.
MORE_S_MIN = 0.02
# The moment from which a step fits is sought to this.
FIT_S = 0.004
# The exact window ends this share of the limit above the aim: with both at one figure, each step
# waits for the one that leaves the window, and a percent of the watts is never used.
WINDOW_SLACK = 0.005
# The bucket of unused joules holds at least what such a pause earns. Readings go by in it: what
# they put back, a shallower one loses. At 0.6 s chunks of a fifth of a second meet in the peak.
CREDIT_S_MIN = 0.5
# Most that can be owed, as a share of a full window.
DEBT_SHARE = 0.05
# So much of the forecast is kept beyond the window, for ticks that come late.
KEPT_S = 5.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A step that could start.

    Attributes:
        length_s, power_w: its forecast.
        paused_w: what a pause before it draws.
        doubt_w: what steps may draw beyond their forecast, for all that is known.
        rested_s: how long the pause lasts already.
    """

    length_s: float
    power_w: float
    paused_w: float
    doubt_w: float = 0.0
    rested_s: float = 0.0

    @property
    def step_j(self) -> float:
        """Return the joules of the step."""
        return self.power_w * self.length_s


class Ledger:
    """Joules drawn in the last windows: metered where known, forecast behind that."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self._guard = 0.0
        self._restart(now_s)

    @property
    def limits(self) -> Limits:
        """Return the limits in force."""
        return self._limits

    @property
    def aims(self) -> Limits:
        """Return the limits less the source's error band."""
        return replace(self._limits, mean_w=self.aim_w, peak_w=self.peak_aim_w)

    @property
    def aim_w(self) -> float:
        """Return the mean that is aimed at: the limit less the source's error band."""
        return self._limits.mean_w * (1 - self._guard)

    @property
    def _window_j(self) -> float:
        """Return the joules that a window may end at: between what is aimed at and the limit."""
        return (self.aim_w + WINDOW_SLACK * self._limits.mean_w) * self._limits.window_s

    @property
    def peak_aim_w(self) -> float:
        """Return the same for the peak."""
        return self._limits.peak_w * (1 - self._guard)

    @property
    def metered_s(self) -> float:
        """Return up to when the energy is metered."""
        return self._metered.end_s

    @property
    def forecast(self) -> Trace:
        """Return the forecast of the same time, for learning."""
        return self._forecast

    def set_limits(self, limits: Limits, now_s: float) -> None:
        """Change the limits; a lower one starts a fresh ledger, or 4 s of idle would be owed."""
        is_cut = limits.mean_w < self._limits.mean_w or limits.peak_w < self._limits.peak_w
        self._limits = limits
        if is_cut:
            self._restart(now_s)

    def set_guard(self, guard: float) -> None:
        """Change the share of the limits that is kept free."""
        self._guard = guard

    def _restart(self, now_s: float) -> None:
        """Start as if the time before had drawn exactly what is aimed at: no debt, no credit."""
        self._metered = Trace(now_s, self.aim_w)
        self._forecast = Trace(now_s, self.aim_w)
        self._credit_j = 0.0
        self._credit_s = now_s
        self._credit_base_j = 0.0

    def expect(self, until_s: float, power_w: float) -> None:
        """Forecast the time up to `until_s`; a clock that jumped starts a fresh ledger."""
        gap_s = until_s - self._forecast.end_s
        if not -KEPT_S < gap_s < self._limits.window_s + KEPT_S:
            self._restart(until_s)
        self._forecast.extend(until_s, power_w)

    def meter(self, until_s: float, power_w: float) -> None:
        """Take a metered mean for the time from the last metered moment up to `until_s`.

        Its joules are spread over that time as the forecast has them.
        """
        end_s = min(until_s, self._forecast.end_s)
        drawn_j = power_w * (end_s - self._metered.end_s)
        self._metered.extend_like(self._forecast, end_s, drawn_j)
        self._metered.forget(until_s - self._limits.window_s - KEPT_S)
        self._forecast.forget(until_s - self._limits.window_s - KEPT_S)

    def meter_as_forecast(self, until_s: float) -> None:
        """Take the forecast for metered up to `until_s`: the meter says nothing usable."""
        last_s = self._metered.end_s
        if until_s > last_s:
            drawn_j = self._forecast.joules_at(until_s) - self._forecast.joules_at(last_s)
            self.meter(until_s, drawn_j / (until_s - last_s))

    def joules_at(self, time_s: float) -> float:
        """Return the cumulative joules up to `time_s`: metered, then forecast."""
        metered_s = self._metered.end_s
        if time_s <= metered_s:
            return self._metered.joules_at(time_s)
        ahead_j = self._forecast.joules_at(time_s) - self._forecast.joules_at(metered_s)
        return self._metered.end_j + ahead_j

    def mean_w(self, now_s: float) -> float:
        """Return the mean of the last window."""
        window_s = self._limits.window_s
        return (self.joules_at(now_s) - self.joules_at(now_s - window_s)) / window_s

    def pause_s(self, now_s: float, planned: Planned, bunch_s: float) -> float:
        """Return how long to pause before a step may start; 0: it may.

        `bunch_s` is the pause that a debt is paid with, so that several steps can follow.
        The answer is at most `PAUSE_S_MAX`, and a pause at least `PAUSE_S_MIN`; ask again after it.
        """
        aim_w = self.aim_w
        excess_j = max(0.0, (planned.power_w - aim_w) * planned.length_s)
        gained_w = max(aim_w - planned.paused_w, 1e-3)
        cap_j = max(excess_j + gained_w * bunch_s, gained_w * CREDIT_S_MIN)
        owed_j = excess_j - self._credit(now_s, self.joules_at(now_s), cap_j)
        fits_s = self._fits_s(now_s, planned)
        if owed_j <= 0 and fits_s == 0:
            return 0.0
        # A debt of the credit is paid with a whole bunch, so that several steps can follow.
        paid_s = max(owed_j / gained_w, bunch_s - planned.rested_s) if owed_j > 0 else 0.0
        least_s = max(MORE_S_MIN, PAUSE_S_MIN - planned.rested_s)
        return min(PAUSE_S_MAX, max(least_s, fits_s, paid_s))

    def _fits_s(self, now_s: float, planned: Planned) -> float:
        """Return the pause after which both windows have room for the step, or the longest.

        What leaves a window meanwhile is known, so the moment is: room that a pause earns evenly
        would come long before or after the last step leaves the peak's second.
        """
        if self._over_j(now_s, 0.0, planned) <= 0:
            return 0.0
        early_s, late_s = 0.0, PAUSE_S_MAX
        while late_s - early_s > FIT_S:
            middle_s = (early_s + late_s) / 2
            if self._over_j(now_s, middle_s, planned) > 0:
                early_s = middle_s
            else:
                late_s = middle_s
        return late_s

    def _over_j(self, now_s: float, pause_s: float, planned: Planned) -> float:
        """Return by how much a window that ends with the step is over, after such a pause."""
        end_s = now_s + pause_s + planned.length_s
        end_j = self.joules_at(now_s) + planned.paused_w * pause_s + planned.step_j
        mean_j = end_j - self.joules_at(end_s - self._limits.window_s) - self._window_j
        return max(mean_j, self._peak_over_j(now_s, end_s, end_j, planned))

    def _peak_over_j(self, now_s: float, end_s: float, end_j: float, planned: Planned) -> float:
        """Return by how much the peak window that ends with the step is over its limit."""
        window_s = self._limits.peak_window_s
        allowed_j = self.peak_aim_w * window_s
        if planned.length_s >= window_s:
            return planned.power_w * window_s - allowed_j
        start_s = end_s - window_s
        start_j = self.joules_at(start_s) + planned.paused_w * max(0.0, start_s - now_s)
        # What is not metered now: while a pause lasts the meter follows.
        unmetered_s = min(window_s, now_s + planned.length_s - self.metered_s)
        # A doubt puts a step off as long as pauses make room; it forbids none that follows them.
        paused_j = planned.paused_w * (window_s - planned.length_s)
        avoidable_j = end_j - planned.step_j - start_j - paused_j
        doubted_j = max(0.0, min(planned.doubt_w * unmetered_s, avoidable_j))
        return end_j - start_j - allowed_j + doubted_j

    def _credit(self, now_s: float, now_j: float, cap_j: float) -> float:
        """Return the unused joules, at most `cap_j`; what is over it is lost."""
        earned_j = self.aim_w * (now_s - self._credit_s)
        spent_j = now_j - self._credit_base_j
        # Debt is bounded too: what others drew for an hour is not owed for an hour.
        debt_j = DEBT_SHARE * self._limits.window_s * self.aim_w
        self._credit_j = max(-debt_j, min(self._credit_j + earned_j - spent_j, cap_j))
        self._credit_s, self._credit_base_j = now_s, now_j
        return self._credit_j
