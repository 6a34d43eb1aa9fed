"""Whether this board is calibrated, and whether its table is of what is here.

In:  the state directory, the meter in force, the kernel.     Out: a finding, or none.
"""

from __future__ import annotations

from dataclasses import replace

from edged.config import Config
from edged.doctor.finding import Finding, warning, well
from edged.doctor.meters import Meters
from edged.doctor.root import Root, text
from edged.power.outfit import key_of
from edged.power.table import FILE, Recalled, recall


def look(root: Root, settings: Config, meters: Meters) -> Recalled:
    """Return the table of this board, or why the one that is there is not used."""
    sysfs = settings.power.sysfs or root.sys
    here = key_of(settings, sysfs, meters.holds, meters.shunt_ohm)
    kernel = text(root.at("/proc/sys/kernel/osrelease")).strip()
    return recall(settings.state_dir / FILE, replace(here, kernel=kernel or here.kernel))


def judge(found: Recalled) -> list[Finding]:
    """Return what a table is worth here; a board without one needs none."""
    if found.warning:
        return [warning("calibration", found.warning, "edged calibrate")]
    return [] if found.table is None else [well("calibration", found.table.sentence)]
