"""What the board shows of its power: watts with their band, the meter and the clocks by name.

In:  the governor's law, meter and caps.     Out: frozen figures for `state` and for `edged check`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.board.meter import Origin
from edged.power.budget import Limits, Standing
from edged.power.outfit import Told


@dataclass(frozen=True, slots=True)
class Watts:
    """What `state` says of the power.

    Attributes:
        mean_w: of the window, board input.
        origin: who says it.
        error_share: its band.
    """

    limits: Limits
    standing: Standing
    mean_w: float
    origin: Origin
    error_share: float


@dataclass(frozen=True, slots=True)
class Hands:
    """What the law reads and moves.

    Attributes:
        told: how the meter came to be the one.
        fault: name and sentence of what is wrong with it now; empty where nothing is.
        clocks: by domain, what keeps a clock from being capped, or from running as fast as asked.
    """

    told: Told
    fault: str = ""
    clocks: dict[str, str] = field(default_factory=dict)
