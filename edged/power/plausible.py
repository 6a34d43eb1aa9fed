"""Whether a meter can be believed.

In:  readings as they come, what the board can draw at all.     Out: a verdict on each, with its
reason, and whether the meter as a whole is trusted.
Pure. Zero, stuck, absurd, stale and contract readings are invalid and never headroom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# So many unusable readings in a row lose the meter; so many good ones bring it back.
TRUST_READINGS = 8
# Equal for so long is stuck where the forecast moved by so much meanwhile, or is so far off: an
# idle board may be that still.
STUCK_READINGS = 8
MOVED_RATIO = 1.1
OFF_RATIO = 1.2
STALE_S = 1.0
# A running board draws more than this; below it the meter or its shunt is wrong.
ALIVE_W = 0.3
# Highest forecast of the board, times this: beyond it the shunt or the unit is wrong.
ABSURD_RATIO = 2.0
# Of the learned floor: less cannot be, with nothing switched off.
FLOOR_RATIO = 0.5
# Of the forecast of a known board: a real one that draws so little beside it has no like, and a
# shunt of a fifth of what the driver reckons with is a common one. Our choice.
FAR_RATIO = 0.45
# Source: tcpm of the kernel: voltage and current of this supply are the contract's constants.
CONTRACT_SUPPLIES = ("tcpm_source_psy",)


@dataclass(frozen=True, slots=True)
class Metered:
    """One reading of a meter.

    Attributes:
        power_w: mean over the last `averaging_s`, board input.
        name: hwmon name of the chip.
        age_s: how old the end of that mean is.
        error_share: the meter's own band.
    """

    power_w: float
    name: str
    age_s: float
    averaging_s: float
    error_share: float


class Trust:
    """What is thought of one meter, reading by reading; `absent` is said while it says nothing."""

    def __init__(self, absent: str = "the meter does not answer") -> None:
        self._absent = absent
        self.is_trusted = False
        self.why = "no reading yet"
        self._good = 0
        self._bad = 0
        self._equal = 0
        self._last_w: float | None = None
        self._expected_w = (math.inf, 0.0)

    def takes(
        self, reading: Metered | None, expected_w: float, floor_w: float | None, most_w: float
    ) -> bool:
        """Return whether this reading may be used; note what it says of the meter.

        `expected_w` is the forecast of the same time, `floor_w` the learned idle floor, `most_w`
        the most that the forecast can say.
        """
        problem = self._problem(reading, expected_w, floor_w, most_w)
        if problem is None:
            self._good, self._bad = self._good + 1, 0
            if self._good >= TRUST_READINGS:
                self.is_trusted, self.why = True, "metered"
        else:
            self._good, self._bad = 0, self._bad + 1
            if self._bad >= TRUST_READINGS or not self.is_trusted:
                self.is_trusted, self.why = False, problem
        return problem is None

    @property
    def is_news(self) -> bool:
        """Return whether the last reading differs from the one before: a stuck one teaches once."""
        return self._equal == 0

    def _problem(
        self, reading: Metered | None, expected_w: float, floor_w: float | None, most_w: float
    ) -> str | None:
        """Return name and sentence of a fault, named as `board.meters.fault` has it."""
        if reading is None:
            self._last_w = None
            return self._absent
        power_w = reading.power_w
        self._count_equal(power_w, expected_w)
        if reading.name.startswith(CONTRACT_SUPPLIES):
            return f"contract: {reading.name} tells the USB-PD contract, not the power"
        if not math.isfinite(power_w) or not math.isfinite(reading.age_s):
            return f"spike: the meter reads {power_w} W"
        if not 0 <= reading.age_s <= STALE_S + reading.averaging_s:
            return f"stale: the meter's reading is {reading.age_s:.1f} s old"
        if self._equal >= STUCK_READINGS and self._is_wrong(power_w, floor_w):
            return f"stuck: the meter is stuck at {power_w:.3f} W"
        far_w = FAR_RATIO * expected_w if math.isfinite(most_w) else 0.0
        least_w = max(ALIVE_W, FLOOR_RATIO * (floor_w or 0.0), far_w)
        if power_w < least_w:
            return f"wrong_shunt: the meter reads {power_w:.2f} W, {least_w:.2f} W are the least"
        if power_w > ABSURD_RATIO * most_w:
            return f"wrong_shunt: the meter reads {power_w:.1f} W, {most_w:.1f} W are the most"
        return None

    def _is_wrong(self, power_w: float, floor_w: float | None) -> bool:
        """Return whether equal readings cannot be true: the forecast moved, or says another thing.

        The latter counts where the board's floor is known.
        """
        lowest_w, highest_w = self._expected_w
        if highest_w > MOVED_RATIO * lowest_w:
            return True
        is_off = highest_w > OFF_RATIO * power_w or power_w > OFF_RATIO * lowest_w
        return floor_w is not None and is_off

    def _count_equal(self, power_w: float, expected_w: float) -> None:
        """Count readings that are equal, and how far the forecast moved meanwhile."""
        if power_w == self._last_w:
            lowest_w, highest_w = self._expected_w
            self._equal += 1
            self._expected_w = (min(lowest_w, expected_w), max(highest_w, expected_w))
        else:
            self._equal = 0
            self._expected_w = (expected_w, expected_w)
        self._last_w = power_w
