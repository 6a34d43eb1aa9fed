"""Whether edged can keep its files.

In:  the state directory.     Out: a finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.doctor.finding import Finding, error, well
from edged.doctor.person import Guard, Person, guard_of


@dataclass(frozen=True, slots=True)
class State:
    """The folder, or the nearest one above it that is there.

    Attributes:
        is_systemd_s: the units' own folder, which systemd makes and gives to edged's user.
    """

    folder: Path
    nearest: Guard
    is_folder: bool
    is_systemd_s: bool = False


def look(folder: Path, *, is_systemd_s: bool = False) -> State:
    """Return the folder's guard."""
    for one in (folder, *folder.parents):
        guard = guard_of(one)
        if guard is not None:
            return State(folder, guard, one.is_dir(), is_systemd_s)
    return State(folder, Guard(folder, 0, 0, "root", 0), is_folder=False)


def judge(state: State, person: Person) -> Finding:
    """Return whether the person can write there; missing folders are made by edged."""
    nearest = state.nearest.path
    if not state.is_folder:
        says = f"{nearest} is in the way of the state directory {state.folder}"
        return error("state", says, "set node.state_dir to a folder that edged's user can write")
    if state.is_systemd_s and nearest != state.folder:
        return well("state", f"systemd makes {state.folder} at the first start of the units")
    if not state.nearest.admits(person):
        says = f"{person.name} may not write {nearest}, where the spool would lie"
        mend = f"sudo install -d -o {person.name} -m 750 {state.folder}"
        return error("state", says, mend)
    return well("state", f"{state.folder} can be written by {person.name}")
