"""Wheels to the packages' folder of an environment, for any machine, without pip and compiler.

In: wheel files, an empty folder.  Out: their modules in it, with the metadata that
`importlib.metadata` reads. pip would write its own paths and the time into it.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tools.package.errors import PackageError

# Source: packaging.python.org, Binary distribution format: where the parts of NAME.data/ go.
# Scripts and headers are for people who build: a board runs edged alone.
MODULES, LEFT_OUT = ("purelib", "platlib"), ("scripts", "headers")
EXECUTABLE = 0o111
# llama-cpp-python brings its libraries a second time, and headers, for people who compile with it.
FOR_BUILDING = ("bin", "include", "lib")


def unpack(wheels: Iterable[Path], site: Path) -> None:
    """Write each wheel's files below `site`.

    Raises:
        PackageError: a wheel wants files elsewhere, or two bring the same file.
    """
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                place = placed(wheel, member)
                if place is not None:
                    _write(archive, member, site / place, wheel)
    link_equal_libraries(site)


def link_equal_libraries(site: Path) -> None:
    """Keep one of each library that stands under several names, as lib.so and lib.so.1.

    A wheel is a zip file and has no links, so that it holds such a library once for each name.
    """
    kept: dict[tuple[Path, bytes], Path] = {}
    libraries = (path for path in site.rglob("*.so*") if path.is_file())
    for path in sorted(libraries, key=lambda path: (-len(path.name), path)):
        one = kept.setdefault((path.parent, hashlib.sha256(path.read_bytes()).digest()), path)
        if one != path:
            path.unlink()
            path.symlink_to(one.name)


def placed(wheel: Path, member: zipfile.ZipInfo) -> PurePosixPath | None:
    """Return a member's place below the packages' folder; None: it is not for a board.

    Raises:
        PackageError: it belongs outside.
    """
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts:
        raise PackageError(f"{wheel.name} holds {path}, which lies outside; do not package it")
    if member.is_dir():
        return None
    if path.parts[0] in FOR_BUILDING:
        return None
    if not path.parts[0].endswith(".data"):
        return path
    part, *rest = path.parts[1:]
    if part in LEFT_OUT:
        return None
    if part not in MODULES:
        raise PackageError(
            f"{wheel.name} holds {path}: the package has no place for the part {part!r} of a "
            "wheel; give it one in tools/package/site.py"
        )
    return PurePosixPath(*rest)


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, wheel: Path) -> None:
    if path.exists():
        raise PackageError(f"{wheel.name} brings {member.filename}, which another wheel brought")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(archive.read(member))
    is_program = member.external_attr >> 16 & EXECUTABLE
    path.chmod(0o755 if is_program else 0o644)
