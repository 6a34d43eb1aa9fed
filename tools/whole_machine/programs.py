"""Where the programs of a whole machine lie: QEMU, mmdebstrap, and those of ext4.

In:  this machine.     Out: paths, and the environment to run them in; what is missing is unpacked
into .venv, never installed. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.broker_programs import ROOT, library_path, search_path
from tools.debian_unpack import unpack

UNPACKED = ROOT / ".venv" / "whole-machine"
PACKAGES = ("qemu-system-x86", "mmdebstrap", "e2fsprogs")
PROGRAMS = ("qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "e2fsck", "debugfs")


class ProgramError(Exception):
    """A program failed; the text says which, and what it said."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Programs by name.

    Attributes:
        environment: to run them in, but for mmdebstrap: it starts programs of the new system too.
        firmware: folders with QEMU's BIOS and boot code.
    """

    paths: dict[str, Path]
    environment: dict[str, str]
    firmware: tuple[Path, ...]

    def run(self, name: str, *arguments: str) -> str:
        """Return what a program of these, or of the system, prints.

        Raises:
            ProgramError: it failed; with the last lines that it wrote.
        """
        command = [str(self.paths.get(name, name)), *arguments]
        is_ours = name in self.paths and name != "mmdebstrap"
        environment = self.environment if is_ours else None
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = " / ".join(done.stderr.strip().splitlines()[-3:])
            raise ProgramError(f"{name} failed with {done.returncode}: {said}")
        return done.stdout


def find(unpacked: Path = UNPACKED) -> Programs | None:
    """Return the programs, installed or unpacked earlier; None if one is missing."""
    folders = [*search_path(), *(unpacked / name for name in ("usr/sbin", "usr/bin", "sbin"))]
    path = ":".join(map(str, folders))
    found = {name: shutil.which(name, path=path) for name in PROGRAMS}
    paths = {name: Path(where) for name, where in found.items() if where is not None}
    if len(paths) < len(PROGRAMS):
        return None
    environment = {**os.environ, "PATH": path}
    if unpacked.exists():
        environment["LD_LIBRARY_PATH"] = library_path(unpacked)
    roots = (unpacked / "usr/share", Path("/usr/share"))
    firmware = tuple(root / name for root in roots for name in ("qemu", "seabios"))
    return Programs(paths, environment, tuple(folder for folder in firmware if folder.exists()))


def provide() -> Programs:
    """Return the programs; unpack what is missing.

    Raises:
        UnpackError: they cannot be had here.
    """
    found = find()
    if found is None:
        print(f"power_cut: unpacking {', '.join(PACKAGES)} into {UNPACKED}", flush=True)
        unpack(UNPACKED, PACKAGES)
        found = find()
    assert found is not None, "what was unpacked has all programs"
    return found
