"""A Debian 12 for arm64 in a folder, as small as a board's image: made once, then kept.

In: a folder.  Out: the root in it. Its packages come from where this machine's own apt gets its.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.arm64.emulation import Arm64Error

SUITE = "bookworm"
# What the boards' images have beside the essential packages, as far as the guide and tests use it.
# Certificates take minutes to unpack under emulation, and no board's image is without.
PACKAGES = ("systemd", "udev", "kmod", "procps", "python3", "ca-certificates")


def make_root(place: Path, log: Path) -> Path:
    """Return a folder with the system, made now if it is not there yet.

    Raises:
        Arm64Error: debootstrap failed.
    """
    root, scratch = place / "debian", place / "debian.new"
    if root.is_dir():
        return root
    shutil.rmtree(scratch, ignore_errors=True)
    command = [
        "debootstrap",
        "--arch=arm64",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
    ]
    command += [SUITE, str(scratch), *mirror()]
    with log.open("w", encoding="utf-8") as sink:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    if done.returncode != 0:
        raise Arm64Error(f"debootstrap failed; the whole log: {log}")
    # Packages that were unpacked already; apt keeps its own elsewhere.
    for archive in (scratch / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    scratch.rename(root)
    return root


def mirror() -> list[str]:
    """Return where this machine's apt gets Debian 12 from; nothing where it does not: the default.

    Source: apt-get(8), indextargets.
    """
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    command += ["Origin: Debian", f"Codename: {SUITE}", "Component: main"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return done.stdout.split()[:1]


def clean_environment() -> dict[str, str]:
    """Return what programs in the root see of this machine's environment: nothing but its terminal.

    The settings of this machine's pip name files that are not there.
    """
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "TERM": os.environ.get("TERM", "dumb"),
    }
