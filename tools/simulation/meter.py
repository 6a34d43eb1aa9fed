"""The meter of a simulated board, which falls silent, and the pace that its clocks allow.

In:  the virtual board.     Out: readings, or none; seconds of steps.
"""

from __future__ import annotations

from edged.board.meter import Reading
from edged.board.virtual.live import LiveBoard
from edged.errors import MeterLost
from edged.power.forecast import Phase


class Meter:
    """The meter of whatever board is there now.

    Attributes:
        live: the board; None: there is none yet.
        fault: what is wrong with it.
    """

    def __init__(self) -> None:
        self.live: LiveBoard | None = None
        self.fault = ""

    def read(self) -> Reading:
        """Return a reading.

        Raises:
            MeterLost: it is silent.
        """
        if self.fault or self.live is None:
            raise MeterLost(self.fault or "no such device")
        return self.live.read()

    def step_s(self, tokens: int, sequences: int, sampled: int) -> float:
        """Return the seconds of a step at the clocks in force."""
        assert self.live is not None, "steps run on a board"
        phase: Phase = "decode" if tokens == sequences else "prefill"
        return self.live.step_s(phase, tokens)
