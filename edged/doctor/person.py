"""Who would serve: this user, or the one that the units run as.

In:  the process, the user database, drop-ins of the unit.     Out: `Person`, `Guard`.
root may open everything, and edged does not run as root: what root asks is answered for `edged`.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from edged.doctor.root import Root, text

SERVICE_USER = "edged"
DROP_INS = "/etc/systemd/system/edged-engine.service.d"


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the kernel sees one."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Guard:
    """Owner, group and mode of a file.

    Attributes:
        group: the group's name, or its number where it has none.
    """

    path: Path
    uid: int
    gid: int
    group: str
    mode: int

    def admits(self, person: Person) -> bool:
        """Return whether the person may read and write it; the first class that fits decides."""
        if person.uid == 0:
            return True
        if person.uid == self.uid:
            both = stat.S_IRUSR | stat.S_IWUSR
        elif self.gid in person.gids:
            both = stat.S_IRGRP | stat.S_IWGRP
        else:
            both = stat.S_IROTH | stat.S_IWOTH
        return self.mode & both == both

    @property
    def admits_its_group(self) -> bool:
        """Return whether joining the group, which is not root's, would help."""
        both = stat.S_IRGRP | stat.S_IWGRP
        return self.gid != 0 and self.mode & both == both


def who(root: Root) -> Person:
    """Return who would open the NPU."""
    name = _name(os.geteuid())
    if os.geteuid() != 0:
        return Person(name, os.geteuid(), frozenset([os.getegid(), *os.getgroups()]))
    try:
        account = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return Person(name, 0, frozenset([0]))
    listed = os.getgrouplist(SERVICE_USER, account.pw_gid)
    return Person(SERVICE_USER, account.pw_uid, frozenset([*listed, *_of_unit(root)]))


def _of_unit(root: Root) -> list[int]:
    """Return the groups that drop-ins of the engine's unit add.

    Source: systemd.exec(5), SupplementaryGroups=: names separated by spaces.
    """
    drop_ins = sorted(root.at(DROP_INS).glob("*.conf"))
    lines = re.findall(r"(?m)^SupplementaryGroups=(.*)$", "\n".join(map(text, drop_ins)))
    found = []
    for group in " ".join(lines).split():
        try:
            found.append(grp.getgrnam(group).gr_gid)
        except KeyError:
            continue  # the unit will not start; systemd says so
    return found


def guard_of(path: Path) -> Guard | None:
    """Return who may open a file, without opening it; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    return Guard(path, found.st_uid, found.st_gid, _group(found.st_gid), mode)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
