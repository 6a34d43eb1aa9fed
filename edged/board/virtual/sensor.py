"""A meter as a chip is one: it averages, rounds, adds noise, is late, and sometimes lies.

In:  the true energy of the virtual board.     Out: readings, or none.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from edged.board.virtual.plant import Board
from edged.power.plausible import Metered

# A fault takes (seconds, the reading as it would be) and returns what the meter says instead.
Fault = Callable[[float, float], float | None]


@dataclass(frozen=True, slots=True)
class Chip:
    """An INA226 with 10 mOhm: 64 averages.

    Attributes:
        averaging_s: length of a conversion; it must not be under the period of reading.
        quantum_w, noise_w: rounding, and the sigma of its noise.
        gain: what it multiplies the truth with; 1 is right.
        error_share: the band that it claims.
    """

    averaging_s: float = 0.141
    quantum_w: float = 0.00625
    noise_w: float = 0.015
    gain: float = 1.0
    error_share: float = 0.005
    name: str = "ina226"


class Sensor:
    """Converts without a pause; a read gives the last whole conversion."""

    def __init__(self, chip: Chip, seed: int, fault: Fault | None = None) -> None:
        self._chip = chip
        self._random = random.Random(f"sensor/{seed}")
        self._fault = fault
        self._started_j = 0.0
        self._value_w: float | None = None
        self._done_s = 0.0
        self.next_s = chip.averaging_s

    def convert(self, board: Board) -> None:
        """End a conversion, now."""
        chip, now_j = self._chip, board.joules[-1]
        true_w = (now_j - self._started_j) / chip.averaging_s
        noisy_w = true_w * chip.gain + self._random.gauss(0.0, chip.noise_w)
        self._value_w = round(noisy_w / chip.quantum_w) * chip.quantum_w
        self._started_j, self._done_s = now_j, board.now_s
        self.next_s = board.now_s + chip.averaging_s

    def read(self, now_s: float) -> Metered | None:
        """Return the last conversion, as the fault lets it through."""
        value_w = self._value_w
        if value_w is not None and self._fault is not None:
            value_w = self._fault(now_s, value_w)
        if value_w is None:
            return None
        chip = self._chip
        return Metered(value_w, chip.name, now_s - self._done_s, chip.averaging_s, chip.error_share)
