"""The wheels of a folder, read without installing them: what they are, need, and hold.

In: a folder, a target.  Out: `Wheel`s, and the requirements that none of them meets.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from tools.wheelhouse.targets import Target, WheelhouseError

# Source: ELF: the magic, and the machine's number at byte 18.
ELF, MACHINE_AT = b"\x7fELF", 18


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel file and what its metadata says."""

    path: Path
    name: NormalizedName
    version: Version
    requires: tuple[Requirement, ...]

    @property
    def sha256(self) -> str:
        """The digest of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def wheels_in(folder: Path) -> dict[NormalizedName, Wheel]:
    """Return the wheels of a folder by their project's name.

    Raises:
        WheelhouseError: two wheels are of one project, or one has no metadata.
    """
    found: dict[NormalizedName, Wheel] = {}
    for path in sorted(folder.glob("*.whl")):
        wheel = read_wheel(path)
        if wheel.name in found:
            both = f"{found[wheel.name].path.name} and {path.name}"
            raise WheelhouseError(
                f"two wheels of one project, {both}: two dependencies do not agree on a version; "
                "narrow it in pyproject.toml"
            )
        found[wheel.name] = wheel
    return found


def read_wheel(path: Path) -> Wheel:
    """Return what a wheel file says of itself.

    Raises:
        WheelhouseError: it is none.
    """
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            (metadata,) = (
                member
                for member in archive.namelist()
                if member.endswith(".dist-info/METADATA") and member.count("/") == 1
            )
            headers = HeaderParser().parsestr(archive.read(metadata).decode("utf-8"))
    except (ValueError, zipfile.BadZipFile) as error:
        raise WheelhouseError(f"{path.name} is no wheel ({error}); delete it, run again") from error
    requires = tuple(Requirement(text) for text in headers.get_all("Requires-Dist", []))
    return Wheel(path, name, version, requires)


def environment(target: Target, python: str) -> dict[str, str]:
    """Return what the markers of requirements are about, as it is on the target."""
    here = {name: str(value) for name, value in default_environment().items()}
    there = {
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": target.machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    return here | there


def unmet(
    root: Requirement, wheels: Mapping[NormalizedName, Wheel], there: Mapping[str, str]
) -> list[Requirement]:
    """Return what `root` needs on the target, itself or through others, and no wheel is.

    Markers are those of the target, which pip cannot be told: it asks the machine that it runs on.
    """
    lacking: dict[str, Requirement] = {}
    seen: set[tuple[NormalizedName, str]] = set()
    queue = [root]
    while queue:
        need = queue.pop()
        wheel = wheels.get(canonicalize_name(need.name))
        if wheel is None or not need.specifier.contains(wheel.version, prereleases=True):
            lacking[plain(need)] = need
            continue
        for extra in sorted({"", *need.extras}):
            if (wheel.name, extra) not in seen:
                seen.add((wheel.name, extra))
                queue += [one for one in wheel.requires if _applies(one, extra, there)]
    return [lacking[text] for text in sorted(lacking)]


def _applies(need: Requirement, extra: str, there: Mapping[str, str]) -> bool:
    if need.marker is None:
        return not extra
    return need.marker.evaluate({**there, "extra": extra})


def plain(need: Requirement) -> str:
    """Return a requirement as pip is asked for it, without the marker, which holds already."""
    extras = f"[{','.join(sorted(need.extras))}]" if need.extras else ""
    return f"{need.name}{extras}{need.specifier}"


def check_machine(wheels: Sequence[Wheel], target: Target) -> None:
    """Refuse a wheel with a library of another machine: it installs, and fails at the first import.

    Raises:
        WheelhouseError: names the wheel and the library.
    """
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    head = file.read(MACHINE_AT + 2)
                machine = int.from_bytes(head[MACHINE_AT:], "little")
                if head.startswith(ELF) and machine != target.elf_machine:
                    raise WheelhouseError(
                        f"{wheel.path.name} holds {member} for ELF machine {machine}, not "
                        f"{target.elf_machine} ({target.machine}); delete build/wheelhouse and "
                        "run again"
                    )
