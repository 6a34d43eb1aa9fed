"""How hot the board is, and whether the kernel holds it back.

In:  thermal zones.     Out: `Heat`, a finding.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.board.sysfs import entries
from edged.board.thermal import hottest_c, is_throttling
from edged.doctor.finding import Finding, warning, well
from edged.doctor.root import Root

# Source: rk3588s.dtsi and rk3576.dtsi of the vendor's kernel: the passive trip of soc-thermal that
# switches the governor on; at 85 C clocks fall.
WARM_C = 75.0
COOL = "give the board a heat sink or a fan, or lower power.budget_w; then run `edged doctor` again"


@dataclass(frozen=True, slots=True)
class Heat:
    """What the zones tell; `hottest_c` is None where none does."""

    zones: int
    hottest_c: float | None
    is_throttled: bool


def look(root: Root) -> Heat:
    """Return how hot it is."""
    folder = root.sys / "class/thermal"
    zones = sum(one.name.startswith("thermal_zone") for one in entries(folder))
    return Heat(zones, hottest_c(folder), is_throttling(folder))


def judge(heat: Heat) -> Finding:
    """Return whether heat costs speed."""
    if heat.hottest_c is None:
        return well("heat", "no thermal zone tells a temperature")
    says = f"{heat.hottest_c:.0f} C, the hottest of {heat.zones} thermal zones"
    if heat.is_throttled:
        return warning("heat", f"{says}; the kernel holds clocks down for it", COOL)
    if heat.hottest_c >= WARM_C:
        return warning("heat", f"{says}; the kernel lowers clocks soon", COOL)
    return well("heat", says)
