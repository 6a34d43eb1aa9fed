"""The wheels of a package: edged as it stands here, and what it needs as `build-wheelhouse` has it.

In: a target, the board's Python.  Out: a folder of wheels that lack nothing.
Only edged's own wheel is made anew each time, so that two packages of one checkout hold the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName

from tools.wheelhouse.build import build_edged
from tools.wheelhouse.cli import PLACE, build
from tools.wheelhouse.listing import MANIFEST
from tools.wheelhouse.targets import Target
from tools.wheelhouse.wheels import Wheel, check_machine, environment, unmet, wheels_in

EDGED = Requirement("edged")


def wheels_for(target: Target, python: str, scratch: Path) -> list[Wheel]:
    """Return the wheels, lying in `scratch`; those of others are fetched only where they lack.

    Raises:
        WheelhouseError: something cannot be had.
    """
    place = PLACE / target.name
    if is_for(place, python):
        found = _with_edged_as_it_stands(place, scratch)
        if not unmet(EDGED, found, environment(target, python)):
            wheels = list(found.values())
            check_machine(wheels, target)
            return wheels
    return list(wheels_in(build(target, python, ())).values())


def is_for(place: Path, python: str) -> bool:
    """Return whether a wheelhouse is there, and for this Python."""
    manifest = place / MANIFEST
    return manifest.exists() and json.loads(manifest.read_text())["python"] == python


def _with_edged_as_it_stands(place: Path, scratch: Path) -> dict[NormalizedName, Wheel]:
    for path in others(place):
        shutil.copy(path, scratch)
    build_edged(scratch)
    return wheels_in(scratch)


def others(place: Path) -> Sequence[Path]:
    """Return the wheel files of a folder but for edged's own."""
    return [path for path in sorted(place.glob("*.whl")) if not path.name.startswith("edged-")]
