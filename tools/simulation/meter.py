"""The meter of a simulated board, which may fail in each of the known ways, and its clocks' pace.

In:  the virtual board.     Out: readings, true or not, or none; seconds of steps.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Literal, get_args

from edged.board.meter import Reading
from edged.board.virtual.live import LiveBoard
from edged.errors import MeterLost
from edged.power.forecast import Phase

Failure = Literal["silent", "zero", "stuck", "absurd", "stale", "no number"]
FAILURES: tuple[Failure, ...] = get_args(Failure)
# A shunt that is wrong by as much as units can be.
ABSURD_RATIO = 1000.0
STALE_S = 60.0


class Meter:
    """The meter of whatever board is there now.

    Attributes:
        live: the board; None: there is none yet.
        failure: what is wrong with it; None: nothing.

    Args:
        seed: of its failures; they have a chance of their own.
    """

    def __init__(self, seed: int) -> None:
        self.live: LiveBoard | None = None
        self.failure: Failure | None = None
        self._chance = random.Random(f"meter {seed}")
        self._last: Reading | None = None

    def fail(self) -> None:
        """Go wrong in one of the ways."""
        self.failure = self._chance.choice(FAILURES)

    def read(self) -> Reading:
        """Return a reading.

        Raises:
            MeterLost: it is silent.
        """
        if self.failure == "silent" or self.live is None:
            raise MeterLost("no such device")
        reading = self.live.read()
        if self.failure is None or self._last is None:
            self._last = reading
        return self._told(reading, self._last)

    def _told(self, reading: Reading, last: Reading) -> Reading:
        """Return what it makes of a true reading; `last` is the newest that it told truly."""
        match self.failure:
            case "zero":
                return replace(reading, watts_w=0.0)
            case "stuck":
                return replace(reading, watts_w=last.watts_w)
            case "absurd":
                return replace(reading, watts_w=ABSURD_RATIO * reading.watts_w)
            case "stale":
                return replace(reading, at_s=reading.at_s - STALE_S)
            case "no number":
                return replace(reading, watts_w=math.nan)
            case _:
                return reading

    def step_s(self, tokens: int, sequences: int, sampled: int) -> float:
        """Return the seconds of a step at the clocks in force."""
        assert self.live is not None, "steps run on a board"
        phase: Phase = "decode" if tokens == sequences else "prefill"
        return self.live.step_s(phase, tokens)
