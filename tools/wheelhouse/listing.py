"""The two lists of a wheelhouse: for pip, which checks digests, and for people and packages.

In: a folder's wheels, a target.  Out: text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from tools.wheelhouse.targets import Target
from tools.wheelhouse.wheels import Wheel

REQUIREMENTS, MANIFEST = "requirements.txt", "manifest.json"


def requirements(wheels: Iterable[Wheel]) -> str:
    """Return a file for `pip install --require-hashes`: every wheel, pinned by its digest."""
    lines = [f"{one.name}=={one.version} --hash=sha256:{one.sha256}\n" for one in wheels]
    return "".join(sorted(lines))


def manifest(wheels: Iterable[Wheel], target: Target, python: str, extras: Sequence[str]) -> str:
    """Return what the folder is for, how llama.cpp was compiled, each file's size and digest."""
    files = {
        one.path.name: {"bytes": one.path.stat().st_size, "sha256": one.sha256} for one in wheels
    }
    told = {
        "target": target.name,
        "machine": target.machine,
        "python": python,
        "extras": list(extras),
        "cmake": list(target.cmake),
        "processor_features": list(target.features),
        "wheels": dict(sorted(files.items())),
    }
    return f"{json.dumps(told, indent=2)}\n"
