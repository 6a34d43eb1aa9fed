"""Reads the board's meter off the event loop, and names what is wrong with it.

In:  a meter.     Out: readings, as the law takes them, or none and the fault's name.
What a fault means for the budget is the law's to say; here it gets its name, at the first reading
that it spoils.
"""

from __future__ import annotations

import asyncio
import logging

from edged.board.meter import Meter, Reading
from edged.board.meters.fault import FAULTS, MeterFault, name_of
from edged.errors import MeterLost
from edged.power.plausible import Metered

log = logging.getLogger(__name__)

PERIOD_S_MIN, PERIOD_S_MAX = 0.1, 1.0
# Read a little faster than the chip averages: nothing is missed, and the law sees doubles.
PERIOD_SHARE = 0.9


class Gauge:
    """One meter.

    Attributes:
        last: the newest reading; None while the meter does not answer.
        fault: name and sentence, as `gone: ina226@1-0040 is not there any more`; else empty.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.last: Reading | None = None
        self.fault = ""

    async def read(self) -> Reading | None:
        """Return the newest reading; None where it must not be used."""
        try:
            self.last = await asyncio.to_thread(self._meter.read)
        except MeterLost as error:
            self.last = None
            # A counter's first look is no fault: the next reading is one.
            is_settling = isinstance(error, MeterFault) and error.fault == "settling"
            self._note("" if is_settling else str(error))
        else:
            self._note("")
        return self.last

    @property
    def name(self) -> str:
        """Return the fault's name without its figures; empty while the meter answers."""
        return name_of(self.fault)

    def told(self, doubt: str) -> str:
        """Return what is wrong with the meter: by its readings alone, else by who knows the board.

        Args:
            doubt: what the law thinks of the meter, with a fault's name at its head if it has one.
        """
        return self.fault or (doubt if name_of(doubt) in FAULTS else "")

    @property
    def period_s(self) -> float:
        """Return how long to wait until the next reading."""
        if self.last is None:
            return PERIOD_S_MAX
        return min(PERIOD_S_MAX, max(PERIOD_S_MIN, PERIOD_SHARE * self.last.averaging_s))

    def _note(self, fault: str) -> None:
        before, self.fault = self.name, fault
        if self.name == before:
            return
        if fault:
            log.warning("meter: %s", fault)
        else:
            log.info("meter: it answers again")


def metered(reading: Reading, now_s: float) -> Metered:
    """Return a reading as the law takes it."""
    return Metered(
        power_w=reading.watts_w,
        name=reading.name,
        age_s=now_s - reading.at_s,
        # A chip that averages less than it is read is a sample: it stands for the time between.
        averaging_s=max(PERIOD_S_MIN, reading.averaging_s),
        error_share=reading.error_share,
    )
