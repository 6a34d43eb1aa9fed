"""What the USB-C supply may give: to be shown and compared with the budget, never a measurement.

In:  the hwmon node of the port controller.     Out: volts and amperes of the USB-PD contract.
Source: drivers/usb/typec/tcpm/tcpm.c: voltage_now is the contract's voltage, current_now its
current limit; both stay the same whatever the board draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.board.meters.hwmon import CONTRACTS
from edged.board.sysfs import entries, optional_number, optional_text


@dataclass(frozen=True, slots=True)
class Contract:
    """One port's contract."""

    name: str
    supply_v: float
    current_a_max: float

    @property
    def power_w_max(self) -> float:
        """Return what the supply may give."""
        return self.supply_v * self.current_a_max

    @property
    def sentence(self) -> str:
        """Return why it is no meter."""
        return (
            f"{self.name} tells the USB-PD contract ({self.supply_v:g} V, "
            f"{self.current_a_max:g} A), which is the same whatever the board draws"
        )


def find_contracts(root: Path) -> tuple[Contract, ...]:
    """Return the contract of each port, also of one with nothing plugged in (0 V)."""
    found = []
    for node in entries(root / "class/hwmon"):
        name = optional_text(node / "name")
        if name is not None and name.startswith(CONTRACTS):
            supply_mv = optional_number(node / "in0_input") or 0.0
            current_ma = optional_number(node / "curr1_input") or 0.0
            found.append(Contract(name, supply_mv / 1e3, current_ma / 1e3))
    return tuple(found)
