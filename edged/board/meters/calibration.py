"""What a meter taught the estimate: offset, scale, and how far off it still is.

In:  pairs of estimated and metered watts, taken while the board rested and while it worked.
Out: a `Calibration`; `power.table` keeps it.
Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from edged.errors import EdgedError

PAIRS_MIN = 8
# Under so much difference between rest and work the scale would be the noise's.
SPREAD_W_MIN = 0.5
# A scale beyond this is another board's, or a meter of something else.
GAINS = (0.3, 3.0)


class CalibrationRefused(EdgedError):
    """The pairs teach nothing; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One moment, as both saw it.

    Attributes:
        estimated_w: mean of the estimate over the time that the meter's figure is of.
        metered_w: at the board's input.
        error_share: the meter's own band.
    """

    estimated_w: float
    metered_w: float
    error_share: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the estimate is corrected: offset plus gain times estimate.

    Attributes:
        error_share: the band that is left; None: never calibrated.
        against: the meter that taught it.
    """

    offset_w: float = 0.0
    gain: float = 1.0
    error_share: float | None = None
    against: str = ""

    def corrected_w(self, estimated_w: float) -> float:
        """Return the corrected watts."""
        return self.offset_w + self.gain * estimated_w


UNCALIBRATED = Calibration()


def fit(pairs: Sequence[Pair], against: str) -> Calibration:
    """Return the line through the pairs that errs least.

    The band is the largest error that is left, plus the meter's own: few pairs allow no less.

    Raises:
        CalibrationRefused: too few pairs, too alike, or of something else.
    """
    if len(pairs) < PAIRS_MIN or min(pair.metered_w for pair in pairs) <= 0:
        raise CalibrationRefused(
            f"{len(pairs)} pairs of watts; at least {PAIRS_MIN} are needed, each above 0 W"
        )
    estimated = [pair.estimated_w for pair in pairs]
    spread_w = max(estimated) - min(estimated)
    if spread_w < SPREAD_W_MIN:
        raise CalibrationRefused(
            f"rest and work differ by {spread_w:.2f} W in the estimate, at least {SPREAD_W_MIN} W "
            "are needed: let the engine work for half of the time"
        )
    line = statistics.linear_regression(estimated, [pair.metered_w for pair in pairs])
    if not GAINS[0] <= line.slope <= GAINS[1]:
        raise CalibrationRefused(
            f"the meter changes {line.slope:.2f} times as much as the estimate, {GAINS[0]} to "
            f"{GAINS[1]} is believed: does it measure this board alone?"
        )
    left = Calibration(line.intercept, line.slope, None, against)
    return Calibration(line.intercept, line.slope, _band(pairs, left), against)


def _band(pairs: Sequence[Pair], line: Calibration) -> float:
    off = [abs(line.corrected_w(one.estimated_w) / one.metered_w - 1) for one in pairs]
    return min(1.0, max(off) + max(one.error_share for one in pairs))
