"""Which time a reading is of: how late a meter is, and what the forecast says of that time.

In:  the forecast's trace, readings with the end that they claim.     Out: seconds that they are
late; the least that they can be of.
Pure. A reading does not say how long the chip, its bus and the board's own capacitors held it back.
The forecast knows when each step began: the lag at which both move together is the meter's.
"""

from __future__ import annotations

from edged.power.trace import Trace

# Lags that are tried. Our choice: a chip that shows its mean at once, to one that is a mean late.
LAGS_S = (0.0, 0.05, 0.1, 0.15)
# A memory of about 100 readings that tell something.
WEIGHT = 0.01
# A reading tells something of the lag where the forecast moved by this share of itself.
MOVED_SHARE = 0.1
# Another lag must fit better by this much: noise changes nothing.
BETTER = 0.8
# However well the lag is known, single readings may be later by this.
JITTER_S = 0.05


class Dating:
    """The lag of one meter."""

    def __init__(self) -> None:
        self._errors = [0.0] * len(LAGS_S)
        self._place = 0

    @property
    def lag_s(self) -> float:
        """Return by how much the meter is later than it says."""
        return LAGS_S[self._place]

    def learn(self, forecast: Trace, power_w: float, end_s: float, length_s: float) -> None:
        """Take a mean of `length_s` that claims to end at `end_s`."""
        means_w = [mean_w(forecast, end_s - lag_s, length_s) for lag_s in LAGS_S]
        if max(means_w) - min(means_w) < MOVED_SHARE * power_w:
            return
        for place, expected_w in enumerate(means_w):
            self._errors[place] += WEIGHT * ((power_w - expected_w) ** 2 - self._errors[place])
        best = min(range(len(LAGS_S)), key=self._errors.__getitem__)
        if self._errors[best] < BETTER * self._errors[self._place]:
            self._place = best


def mean_w(trace: Trace, end_s: float, length_s: float) -> float:
    """Return the mean of a trace over the time that ends at `end_s`."""
    return (trace.joules_at(end_s) - trace.joules_at(end_s - length_s)) / length_s


def least_w(trace: Trace, end_s: float, length_s: float) -> float:
    """Return the lower mean of that time and of the one that a reading may be late by."""
    return min(mean_w(trace, end_s, length_s), mean_w(trace, end_s - JITTER_S, length_s))
