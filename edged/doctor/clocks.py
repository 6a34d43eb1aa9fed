"""Which clocks edged can cap here, and between what.

In:  devfreq and cpufreq; caps are opened as if to write, and not written.     Out: findings.
A clock that cannot be capped is no error: pauses hold the watts then.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.board.knobs.cap import MISSING, Cap, Trouble, find_caps, mhz
from edged.doctor.finding import Finding, warning, well
from edged.doctor.person import Person, guard_of
from edged.doctor.root import Root

NAMES = {"npu": "the NPU", "cpu": "the fast cores", "ddr": "the memory"}


@dataclass(frozen=True, slots=True)
class Knob:
    """One cap, what is in force, and why it cannot be written."""

    cap: Cap
    in_force_hz: float | None
    trouble: Trouble | None


def look(root: Root, person: Person) -> tuple[Knob, ...]:
    """Return every cap of this board."""
    return tuple(Knob(cap, cap.in_force_hz(), _trouble(cap, person)) for cap in find_caps(root.sys))


def _trouble(cap: Cap, person: Person) -> Trouble | None:
    """Return why the person may not write it; root, who asks, may."""
    guard = guard_of(cap.path)
    if guard is not None and not guard.admits(person):
        return Trouble("denied", f"{person.name} may not write {cap.name}/{cap.file}")
    return cap.probe()


def judge(knobs: tuple[Knob, ...]) -> list[Finding]:
    """Return a line for each cap, and one for each clock that has none."""
    there = {knob.cap.domain for knob in knobs}
    found = [_knob(knob) for knob in knobs]
    return found + [
        well("clocks", f"{NAMES[domain]}: {why}; pauses hold the watts")
        for domain, why in MISSING.items()
        if domain not in there
    ]


def _knob(knob: Knob) -> Finding:
    cap, trouble = knob.cap, knob.trouble
    span = f"{mhz(cap.steps_hz[0])} to {mhz(cap.steps_hz[-1])}" if cap.steps_hz else "no table"
    now = "" if knob.in_force_hz is None else f", at most {mhz(knob.in_force_hz)} now"
    says = f"{NAMES[cap.domain]}, {cap.name}: {span}{now}"
    if trouble is None:
        return well("clocks", says)
    return warning("clocks", f"{says}; {trouble.why}", _mend(knob, trouble))


def _mend(knob: Knob, trouble: Trouble) -> str:
    path = knob.cap.path
    if trouble.fault == "read_only":
        return f"sudo systemctl edit edged.service, and add ReadWritePaths={path.resolve()}"
    return (
        f"sudo chgrp edged {path} && sudo chmod g+w {path}; for good: "
        "sudo tools/install-firmware-config BOARD"
    )
