"""A tree to a .deb: the same bytes each time, from the same tree.

In: a tree and its control files.  Out: the package file, made by dpkg-deb, which every Debian has.
What could differ is set: owners, times, modes; dpkg-deb sorts the names, and compresses in one
thread, because more would cut the stream where there are more cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.package.errors import PackageError
from tools.package.version import Release

COMPRESSIONS = ("xz", "zstd", "none")


def write_package(
    root: Path, control: Mapping[str, str], release: Release, folder: Path, compression: str
) -> Path:
    """Write the package into `folder` and return it; `root` gets a folder DEBIAN.

    Raises:
        PackageError: no dpkg-deb here, or it refuses.
    """
    if shutil.which("dpkg-deb") is None:
        raise PackageError("needs dpkg-deb:  apt-get install dpkg")
    _write_control(root / "DEBIAN", control)
    settle(root, release.epoch_s)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / release.file_name
    command = ["dpkg-deb", "--root-owner-group", "--threads-max=1", "--uniform-compression"]
    command += [f"-Z{compression}", "--build", str(root), str(path)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(release.epoch_s)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackageError(f"dpkg-deb refused the package: {done.stderr.strip()}")
    return path


def settle(root: Path, epoch_s: int) -> None:
    """Give everything below `root`, and `root`, one time, and modes that no umask had a part in."""
    for path in (*root.rglob("*"), root):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        elif not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)


def _write_control(folder: Path, control: Mapping[str, str]) -> None:
    folder.mkdir()
    for name, text in control.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o644)
