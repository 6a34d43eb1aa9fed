"""What says how many watts the board draws: the protocol of a meter.

In:  a chip, a plug, a virtual board.     Out: a `Reading`, or `MeterLost` with the reason.
A meter only tells; whether it is believed is decided in `power.plausible`, reading by reading.
Blocking: an I2C read can take a second, so the daemon reads off its event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

# Who says the watts: a real chip, the virtual board, or the forecast and its coefficients.
Origin = Literal["metered", "simulated", "estimated"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter says.

    Attributes:
        watts_w: mean at the board's input over the last `averaging_s`.
        at_s: end of that mean, monotonic clock; its age is now less this.
        averaging_s: length of the mean; read at about this period, nothing is seen twice or missed.
        error_share: the meter's own band.
        name: of the chip, as hwmon has it.
        origin: what is said of it wherever its watts are shown.
    """

    watts_w: float
    at_s: float
    averaging_s: float = 1.0
    error_share: float = 0.02
    name: str = "meter"
    origin: Origin = "metered"


class Meter(Protocol):
    """Says what the board draws."""

    def read(self) -> Reading:
        """Return the newest mean; blocking.

        Raises:
            MeterLost: it does not answer now; it is asked again at the next tick.
        """
        ...
