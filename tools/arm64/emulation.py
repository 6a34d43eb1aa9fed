"""Lets this kernel run aarch64 programs: QEMU's user-mode emulator, registered with binfmt_misc.

In: this machine.  Out: nothing, once a program for aarch64 can be started like any other.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

BINFMT = Path("/proc/sys/fs/binfmt_misc")
NAME = "qemu-aarch64"
MACHINE = "aarch64"
# QEMU's name of an RK3588's fast cores, as which all runs that asks for nothing else. QEMU's own
# choice, `max`, has what no board has, among it pointer authentication, worked out in software.
CORE = "cortex-a76"
# Each program with the Debian package that holds it; the second table is for other machines only.
PROGRAMS = {
    "debootstrap": "debootstrap",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
}
EMULATOR = {"qemu-aarch64-static": "qemu-user-static", "update-binfmts": "binfmt-support"}


class Arm64Error(Exception):
    """It cannot be tried, or it failed; the text says what, why, and what to do."""


def provide() -> None:
    """Make sure of everything that is needed here.

    Raises:
        Arm64Error: not root, a program is missing, or the kernel does not take the emulator.
    """
    if os.geteuid() != 0:
        raise Arm64Error("needs root, for mounts and chroot: run it with sudo")
    emulated = platform.machine() != MACHINE
    packages = missing_packages(PROGRAMS | (EMULATOR if emulated else {}))
    if packages:
        raise Arm64Error(f"programs are missing here:  apt-get install {' '.join(packages)}")
    if emulated and not (BINFMT / NAME).exists():
        register()


def processes() -> int:
    """Return how many processes can work at a time here.

    Source: /proc/cpuinfo, in which others count cores, is this machine's own under emulation.
    """
    return len(os.sched_getaffinity(0))


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """Return the packages of the programs that are not on this machine."""
    return sorted({package for name, package in programs.items() if shutil.which(name) is None})


def register() -> None:
    """Register the emulator; the registration lasts until this machine's next boot.

    Raises:
        Arm64Error: this kernel cannot, or may not.
    """
    if not (BINFMT / "register").exists():
        attempt(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)])
    attempt(["update-binfmts", "--enable", NAME])
    if not (BINFMT / NAME).exists():
        raise Arm64Error(
            f"{BINFMT}/{NAME} is not there: this kernel did not register the emulator. In a "
            "container, register it on the host: apt-get install qemu-user-static binfmt-support"
        )


def attempt(command: Sequence[str]) -> None:
    """Run a command.

    Raises:
        Arm64Error: it failed; with the last line it wrote.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise Arm64Error(f"{' '.join(command[:3])} failed: {said[-1]}")
