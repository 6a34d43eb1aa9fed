"""Makes sure of the programs that the tests of firmware-config/ need: dtc, fdtoverlay, udevadm.

In: this machine.  Out: the environment in which they are found; what is missing is unpacked into
.venv, never installed. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tools.broker_programs import ROOT, library_path, search_path
from tools.debian_unpack import UnpackError, unpack

UNPACKED = ROOT / ".venv" / "device-tree"
# Each with the Debian package that holds it.
PROGRAMS = {
    "dtc": "device-tree-compiler",
    "fdtoverlay": "device-tree-compiler",
    "udevadm": "udev",
}


def environment(unpacked: Path = UNPACKED) -> dict[str, str]:
    """Return this process's environment, in which the programs of this machine come first."""
    if not unpacked.exists():
        return dict(os.environ)
    folders = [*search_path(), unpacked / "usr" / "bin", unpacked / "bin"]
    libraries = [library_path(unpacked), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        "PATH": ":".join(map(str, folders)),
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
    }


def missing() -> list[str]:
    """Return the programs that are neither on this machine nor unpacked."""
    path = environment()["PATH"]
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def main() -> int:
    """Unpack what is missing; where that fails, say so, and the tests that need it say so again."""
    packages = sorted({PROGRAMS[name] for name in missing()})
    if not packages:
        return 0
    print(f"device tree: unpacking {', '.join(packages)} into {UNPACKED}", flush=True)
    try:
        unpack(UNPACKED, packages)
    except UnpackError as error:
        print(f"device tree: {error}", file=sys.stderr)
    lost = missing()
    if lost:
        print(f"device tree: the tests will lack {', '.join(lost)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
