"""Names what cannot be true in a meter's readings, without knowing what the board does.

In:  readings as they come.     Out: the same reading, or `MeterFault`.
Pure but for the wrapper `Doubted`. What needs the forecast, as a shunt that is wrong by a factor
of two, is judged in `power.plausible`; here are the bounds of any running board.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from edged.board.meter import Meter, Reading
from edged.board.meters.fault import MeterFault

# So many readings in a row outside the bounds are no spike any more.
SPIKES_MAX = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a running board can be seen to draw.

    Attributes:
        least_w, most_w: below and above it the meter or its shunt is wrong. A plug that shows
            more than 50 W for such a board has slipped; a contract of the supply lowers it.
        stuck_s: equal to the last digit for so long is no measurement.
        stale_s: a reading may be so old beyond its averaging time.
        apart_s: readings further apart say nothing of the time between: an idle board's meter is
            not read, and shows the same idle watts an hour later.
    """

    least_w: float = 0.3
    most_w: float = 50.0
    stuck_s: float = 30.0
    stale_s: float = 1.0
    apart_s: float = 5.0


class Doubt:
    """What is known of one meter from its own readings."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._last_w: float | None = None
        self._since_s = self._seen_s = 0.0
        self._outside = 0

    def judge(self, reading: Reading, now_s: float) -> Reading:
        """Return the reading if nothing speaks against it.

        Raises:
            MeterFault: `stale`, `zero`, `spike`, `wrong_shunt` or `stuck`.
        """
        self._judge_age(reading, now_s)
        self._judge_size(reading)
        self._outside = 0
        self._judge_change(reading)
        return reading

    def _judge_age(self, reading: Reading, now_s: float) -> None:
        age_s = now_s - reading.at_s
        oldest_s = self._bounds.stale_s + reading.averaging_s
        if not -0.001 <= age_s <= oldest_s:  # also when either time is no number
            why = f"{reading.name} tells what was {age_s:.1f} s ago, at most {oldest_s:.1f} s count"
            raise MeterFault("stale", why)

    def _judge_size(self, reading: Reading) -> None:
        watts_w, bounds = reading.watts_w, self._bounds
        if watts_w == 0:
            raise MeterFault("zero", f"{reading.name} reads 0 W of a board that runs")
        if bounds.least_w <= watts_w <= bounds.most_w:
            return
        self._outside += 1
        what = f"{reading.name} reads {watts_w:.3f} W"
        allowed = f"a running board draws {bounds.least_w:g} to {bounds.most_w:g} W"
        if not math.isfinite(watts_w) or self._outside < SPIKES_MAX:
            raise MeterFault("spike", f"{what}; {allowed}")
        shunt = "flows backwards" if watts_w < 0 else "is not of the size the driver was told"
        raise MeterFault("wrong_shunt", f"{what} again and again; {allowed}: the shunt {shunt}")

    def _judge_change(self, reading: Reading) -> None:
        was_looked_at = reading.at_s - self._seen_s <= self._bounds.apart_s
        self._seen_s = reading.at_s
        if reading.watts_w != self._last_w or not was_looked_at:
            self._last_w, self._since_s = reading.watts_w, reading.at_s
        stuck_s = reading.at_s - self._since_s
        if stuck_s >= self._bounds.stuck_s:
            why = f"{reading.name} reads {reading.watts_w:.3f} W for {stuck_s:.0f} s"
            raise MeterFault("stuck", why)


class Doubted:
    """A meter whose readings are judged."""

    def __init__(
        self,
        meter: Meter,
        bounds: Bounds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meter = meter
        self._doubt = Doubt(bounds)
        self._clock = clock

    def read(self) -> Reading:
        """Return the meter's reading if it can be true; blocking as the meter is.

        Raises:
            MeterFault: it cannot, or the meter does not answer.
        """
        reading = self._meter.read()
        return self._doubt.judge(reading, self._clock())
