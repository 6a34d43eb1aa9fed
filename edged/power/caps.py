"""Sets the clocks that the law wants, and copes with a kernel that refuses.

In:  the law's operating point.     Out: caps through the knobs, off the event loop.
"""

from __future__ import annotations

import asyncio
import logging

from edged.board.knob import Knobs
from edged.board.soc import Clocks
from edged.errors import KnobRefused
from edged.power.law import Law

log = logging.getLogger(__name__)

# Clocks are in force so long after they were asked for.
ACTUATOR_S = 0.1
# Clocks that could not be set are tried again after so long.
AGAIN_S = 60.0


class Caps:
    """The caps in force.

    Attributes:
        problem: why they cannot be set; empty where they can.
    """

    def __init__(self, knobs: Knobs | None, law: Law, now_s: float) -> None:
        self._knobs = knobs
        self._law = law
        self._clocks: Clocks | None = None
        self._asked_s = now_s
        self.problem = ""

    def are_settled(self, at_s: float) -> bool:
        """Return whether a step that began then had the clocks that were asked for."""
        return at_s - self._asked_s > ACTUATOR_S

    async def follow(self, now_s: float, *, is_needed: bool) -> None:
        """Set the clocks of the law's point; give them back where nobody needs them capped."""
        knobs, law = self._knobs, self._law
        if knobs is None or (self.problem and now_s - self._asked_s < AGAIN_S):
            return
        clocks = law.forecast.points[law.point].clocks if is_needed else None
        if clocks == self._clocks:
            return
        self._asked_s = now_s
        try:
            if clocks is None:
                await asyncio.to_thread(knobs.restore)
            else:
                await asyncio.to_thread(knobs.set_clocks, clocks)
        except KnobRefused as error:
            self._give_up(error, now_s)
            return
        self._clocks = clocks
        if self.problem:
            self.problem = ""
            law.allow_points(list(range(len(law.forecast.points))))

    def _give_up(self, error: KnobRefused, now_s: float) -> None:
        """Leave the clocks as they are, and have the law count on full ones and pauses."""
        if str(error) != self.problem:
            log.warning("clocks: %s; pauses hold the watts", error)
        self.problem, self._clocks = str(error), None
        self._law.allow_points([len(self._law.forecast.points) - 1])
        self._law.choose(now_s)
