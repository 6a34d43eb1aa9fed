"""What the engine process runs, as one digest: an upgrade that keeps it keeps the model loaded.

In: the packages' folder, the wheels it was made of.  Out: a digest of edged's modules that the
engine can import, of the shipped model, and of the wheels that these need. Rather too much than too
little: an engine that runs on old code beside new code must never be taken for a new one.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from tools.wheelhouse.wheels import Wheel

START = "edged.engine.process"
# What the daemon and `edged eval` alone read of a shipped model.
NOT_THE_ENGINES = frozenset({"eval", "templates", "calibration.json"})


def engine_digest(site: Path, wheels: Sequence[Wheel]) -> str:
    """Return the digest of what the engine of this packages' folder is made of."""
    files = [*engine_modules(site), *_data(site)]
    lines = [f"{_sha256(path)}  {path.relative_to(site)}" for path in files]
    imported = imported_packages(site)
    lines += [line for one in needed_wheels(imported, wheels) for line in _members(one)]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def engine_modules(site: Path) -> list[Path]:
    """Return edged's modules that the engine imports at any time, itself or through others."""
    found: dict[str, Path] = {}
    queue = [START]
    while queue:
        name = queue.pop()
        path = _module(site, name)
        if path is None or name in found:
            continue
        found[name] = path
        queue += [word for word in _names(path.read_bytes()) if word.split(".")[0] == "edged"]
        queue += [name.rpartition(".")[0]]
    return sorted(found.values())


def imported_packages(site: Path) -> set[str]:
    """Return the first words of what the engine's modules import from elsewhere."""
    sources = (path.read_bytes() for path in engine_modules(site))
    return {name.split(".")[0] for source in sources for name in _names(source)} - {"edged"}


def needed_wheels(imported: Set[str], wheels: Sequence[Wheel]) -> list[Wheel]:
    """Return the wheels that hold these packages, and those that they need."""
    by_name: Mapping[NormalizedName, Wheel] = {one.name: one for one in wheels}
    queue = [one for one in wheels if one.name != "edged" and imported & packages_of(one)]
    found: dict[NormalizedName, Wheel] = {}
    while queue:
        one = queue.pop()
        if one.name not in found:
            found[one.name] = one
            needs = (canonicalize_name(need.name) for need in one.requires)
            queue += [by_name[need] for need in needs if need in by_name]
    return [found[name] for name in sorted(found)]


def packages_of(wheel: Wheel) -> set[str]:
    """Return the first words of what can be imported from a wheel."""
    with zipfile.ZipFile(wheel.path) as archive:
        return {name.split("/")[0].split(".")[0] for name in archive.namelist()}


@functools.cache
def _names(source: bytes) -> tuple[str, ...]:
    """Return every name that a module's import statements could mean, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _module(site: Path, name: str) -> Path | None:
    place = site.joinpath(*name.split("."))
    choices = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((path for path in choices if path.is_file()), None)


def _data(site: Path) -> Iterator[Path]:
    """Yield what the engine reads beside modules: the shipped models, and files of its package."""
    for folder in (site / "edged" / "engine", site / "edged" / "models"):
        for path in sorted(folder.rglob("*")):
            parts = set(path.relative_to(folder).parts)
            if path.is_file() and path.suffix != ".py" and not parts & NOT_THE_ENGINES:
                yield path


def _members(wheel: Wheel) -> list[str]:
    """Return a line for each file of a wheel, whose own digest would tell when it was packed."""
    with zipfile.ZipFile(wheel.path) as archive:
        names = archive.namelist()
        return [f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}" for name in names]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
