"""Which meter tells the watts, which were passed over and why, and what the supply may give.

In:  hwmon, powercap, IIO, the USB-PD contract; the budget.     Out: findings.
Nothing is written: the averaging of a chip that a daemon reads stays as the daemon set it.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged import config
from edged.board.meters.choose import Kind, Wish, choose_meter
from edged.board.meters.dynamic import of_cores
from edged.board.meters.supply import Contract, find_contracts
from edged.doctor.finding import Finding, warning, well
from edged.doctor.root import Root
from edged.power.budget import budget_of
from edged.power.outfit import is_held_by

WIRE_ONE = (
    "wire an INA226 to the board's supply, as firmware-config/README.md shows, and run "
    "`sudo tools/install-firmware-config BOARD`"
)
NAME_IT = "ls -l /sys/class/hwmon/*/device, then name the one in the board's supply in power.meter"
LET_READ = "sudo chmod o+r /sys/class/powercap/*/energy_uj"


@dataclass(frozen=True, slots=True)
class Meters:
    """What was found.

    Attributes:
        why: the sentence of the meter that would be used.
        passed_over: a sentence for each other one.
        contracts: of the USB-C ports; never meters.
        holds: the one whose watts the budget is held by; None where there is none.
        shunt_ohm: what those are reckoned with.
    """

    kind: Kind
    why: str
    passed_over: tuple[str, ...]
    contracts: tuple[Contract, ...]
    holds: str | None = None
    shunt_ohm: float | None = None


def look(root: Root, settings: config.Power) -> Meters:
    """Return the meters of this machine."""
    cores = of_cores(settings.idle_w, settings.core_w, settings.core_hz, settings.error_share)
    # A meter that is never read needs no averaging: with a period of 0 nothing is set up.
    wish = Wish(cores, settings.meter, shunt_ohm=settings.shunt_ohm, period_s=0.0)
    sysfs = settings.sysfs or root.sys
    chosen = choose_meter(wish, lambda: None, sysfs)
    holds = chosen.name if is_held_by(chosen) else None
    contracts = find_contracts(sysfs)
    told = (chosen.kind, chosen.why, chosen.passed_over, contracts, holds, chosen.shunt_ohm)
    return Meters(*told)


def judge(meters: Meters, *, is_rockchip: bool) -> list[Finding]:
    """Return the meter in force, and one line for each that is not."""
    contracts = {one.sentence for one in meters.contracts}
    found = [_chosen(meters, is_rockchip=is_rockchip)]
    for sentence in meters.passed_over:
        if sentence in contracts:
            found.append(well("meter", f"not used: {sentence}"))
        else:
            mend = LET_READ if sentence.startswith("powercap") else NAME_IT
            found.append(warning("meter", f"not used: {sentence}", mend))
    return found


def _chosen(meters: Meters, *, is_rockchip: bool) -> Finding:
    if meters.kind == "estimate" and is_rockchip:
        return warning("meter", f"{meters.why}: watts are estimated, not measured", WIRE_ONE)
    return well("meter", meters.why)


def judge_supply(meters: Meters, power: config.Power) -> list[Finding]:
    """Return whether the USB-PD contract covers the configured peak."""
    peak_w = budget_of(power, power.idle_w).limits().peak_w
    return [_supply(one, peak_w) for one in meters.contracts if one.power_w_max > 0]


def _supply(contract: Contract, peak_w: float) -> Finding:
    has_w = contract.power_w_max
    says = f"the USB-C supply may give {has_w:g} W, the configured peak is {peak_w:g} W"
    if has_w >= peak_w:
        return well("supply", says)
    mend = f"use a supply that offers at least {peak_w:.0f} W by USB-PD, or lower power.peak_w"
    return warning("supply", f"{says}: the board can brown out", mend)
