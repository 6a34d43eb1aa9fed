"""Sets the clocks that the law wants, and copes with a kernel that has other plans.

In:  the law's operating point, whether an engine is there.     Out: caps through the knobs, off the
event loop; to the law, the points that can be reached.
A cap that is refused, ignored or contested leaves full clocks: pauses alone then hold the watts.
"""

from __future__ import annotations

import asyncio
import logging

from edged.board.knob import Knobs
from edged.board.knobs.cap import mhz
from edged.board.soc import Clocks, Domain
from edged.errors import KnobRefused
from edged.power.ceilings import Ceilings
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
        # An earlier daemon may have left them capped.
        self._may_be_capped = True
        self._ceilings = Ceilings()
        self._asked_s = now_s
        self.problem = ""

    @property
    def told(self) -> dict[str, str]:
        """Return, by clock, what keeps it from being capped, or from running as fast as asked."""
        if self._knobs is None:
            return {}
        told: dict[str, str] = {
            domain: f"limited: the kernel allows {mhz(clock_hz)}"
            for domain, clock_hz in self._ceilings.found_hz.items()
        }
        for domain, trouble in self._knobs.troubles.items():
            told[domain] = f"{trouble.fault}: {trouble.why}"
        return told

    def are_settled(self, at_s: float) -> bool:
        """Return whether a step that began then had the clocks that were asked for."""
        return at_s - self._asked_s > ACTUATOR_S

    def forget(self) -> None:
        """Another engine: whatever ended the last one gave the clocks back."""
        self._clocks, self._may_be_capped = None, True

    async def follow(self, now_s: float, *, is_needed: bool, is_busy: bool) -> None:
        """Set the clocks of the law's point, look whether they hold; else give them back.

        Args:
            now_s: the law's time.
            is_needed: whether an engine is there whose watts are held.
            is_busy: whether a step runs.
        """
        knobs, law = self._knobs, self._law
        if knobs is None or (self.problem and now_s - self._asked_s < AGAIN_S):
            return
        if not (is_needed and knobs.domains):
            await self._give_back(knobs, now_s)
            return
        clocks = law.forecast.points[law.point].clocks
        try:
            if clocks != self._clocks:
                await self._set(knobs, clocks, now_s)
            else:
                found_hz = await asyncio.to_thread(_look, knobs, is_busy=is_busy)
                self._see(found_hz, now_s)
        except KnobRefused as error:
            self._give_up(error, now_s)

    def release(self) -> None:
        """Give the clocks back at the end of engine and daemon. Blocking."""
        if self._knobs is not None and self._may_be_capped:
            self._knobs.restore()

    async def _set(self, knobs: Knobs, clocks: Clocks, now_s: float) -> None:
        self._asked_s, self._may_be_capped = now_s, True
        await asyncio.to_thread(knobs.set_clocks, clocks)
        self._clocks = clocks
        if self.problem:
            self.problem = ""
            self._allow(now_s)

    async def _give_back(self, knobs: Knobs, now_s: float) -> None:
        if not self._may_be_capped:
            return
        self._asked_s = now_s
        await asyncio.to_thread(knobs.restore)
        self._clocks, self._may_be_capped = None, False

    def _see(self, found_hz: dict[Domain, float], now_s: float) -> None:
        """Have the law count on clocks that the kernel allows."""
        if self._ceilings.see(found_hz, now_s):
            for domain, clock_hz in found_hz.items():
                log.info("clocks: the kernel holds %s at %s", domain, mhz(clock_hz))
            self._allow(now_s)

    def _allow(self, now_s: float) -> None:
        self._law.allow_points(self._ceilings.usable(self._law.forecast.points))
        self._law.choose(now_s)

    def _give_up(self, error: KnobRefused, now_s: float) -> None:
        """Leave the clocks as they are, and have the law count on full ones and pauses."""
        if str(error) != self.problem:
            log.warning("clocks: %s; pauses hold the watts", error)
        self.problem, self._clocks, self._asked_s = str(error), None, now_s
        self._law.allow_points([len(self._law.forecast.points) - 1])
        self._law.choose(now_s)


def _look(knobs: Knobs, *, is_busy: bool) -> dict[Domain, float]:
    """Return the kernel's own caps, after a look whether ours hold. Blocking.

    Raises:
        KnobRefused: ours do not.
    """
    knobs.check(is_busy=is_busy)
    return knobs.kernel_hz()
