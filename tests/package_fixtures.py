"""Wheels of this checkout, as it is or changed, those of others, and packages made of them all."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from tools.package.archive import write_package
from tools.package.control import control_files
from tools.package.tree import ROOT, Contents, lay_out
from tools.package.version import release_of
from tools.package.wheels import is_for, others
from tools.wheelhouse.cli import PLACE
from tools.wheelhouse.targets import TARGETS
from tools.wheelhouse.wheels import Wheel, environment, read_wheel, unmet

EPOCH_S = 1_700_000_000
PYTHON = "3.11"


def edged_wheel(folder: Path, changes: Mapping[str, str] | None = None) -> Path:
    """Write edged's wheel; `changes` are appended to modules, by their path in the checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = ["Metadata-Version: 2.1", "Name: edged", "Version: 0.1.0"]
    lines += [f"Requires-Dist: {need}" for need in project["dependencies"]]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "edged-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("edged-0.1.0.dist-info/METADATA", "\n".join(lines) + "\n\n")
        archive.writestr("edged-0.1.0.dist-info/RECORD", "")
        for file in sorted((ROOT / "edged").rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                name = str(file.relative_to(ROOT))
                more = (changes or {}).get(name, "").encode()
                archive.writestr(name, file.read_bytes() + more)
    return path


def is_whole(target: str, edged: Path) -> bool:
    """Return whether a wheelhouse is there that has all that this wheel of edged needs."""
    place = PLACE / target
    if not is_for(place, PYTHON):
        return False
    found = {one.name: one for one in map(read_wheel, [edged, *others(place)])}
    return not unmet(Requirement("edged"), found, environment(TARGETS[target], PYTHON))


def wheels_of_others(target: str, edged: Path) -> Sequence[Path]:
    """Return the real wheels that edged needs on a target; made now where they lack."""
    if not is_whole(target, edged):
        subprocess.run([ROOT / "tools" / "build-wheelhouse", target], check=True)
    return others(PLACE / target)


def build(
    wheels: Sequence[Path],
    folder: Path,
    *,
    target: str = "amd64",
    revision: int = 1,
    compression: str = "none",
) -> Path:
    """Build a package of these wheels in `folder`."""
    read = [read_wheel(path) for path in wheels]
    folder.mkdir(parents=True, exist_ok=True)
    contents = contents_of(read, target=target, revision=revision)
    root = folder / f"root-{target}-{revision}"
    lay_out(contents, root)
    control = control_files(contents, root)
    path = write_package(root, control, contents.release, folder, compression)
    shutil.rmtree(root)
    return path


def target_here() -> str:
    """Return the target whose packages this machine runs."""
    return "amd64" if platform.machine() == "x86_64" else "arm64"


def contents_of(wheels: Sequence[Wheel], *, target: str = "amd64", revision: int = 1) -> Contents:
    """Return what goes into a package of these wheels."""
    release = release_of(TARGETS[target], Version("0.1.0"), revision, EPOCH_S)
    return Contents(release, TARGETS[target], wheels, PYTHON)


def wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    needs: Iterable[str] = (),
    tag: str = "py3-none-any",
    library: bytes = b"",
) -> Path:
    """Write a wheel that pip takes for one."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr(f"{name}/one.so", library)
    return path
