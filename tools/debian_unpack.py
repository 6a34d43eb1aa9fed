"""Unpacks Debian packages into a directory, without root, for the tests and the demo.

In: package names and a directory.  Out: the packages' files under it.
Nothing is installed, even for root: mosquitto's package would start a system service on port 1883
that was not there before. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

DOWNLOAD_S = 300


class UnpackError(Exception):
    """The packages cannot be had here; the text says why."""


def unpack(target: Path, packages: Sequence[str]) -> None:
    """Download packages and the libraries they lack, and unpack them.

    The target appears whole or not at all, so that an interrupted run leaves nothing half done.

    Raises:
        UnpackError: no apt here, no network, or no such package.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise UnpackError(f"this system has no {program}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="unpack-") as scratch:
        files = Path(scratch) / "files"
        files.mkdir()
        for archive in download(Path(scratch), packages):
            run(["dpkg-deb", "-x", str(archive), str(files)])
        shutil.rmtree(target, ignore_errors=True)
        files.rename(target)


def download(scratch: Path, packages: Sequence[str]) -> list[Path]:
    """Return the package files, fetched with the system's package lists or with fresh ones.

    Raises:
        UnpackError: neither way works.
    """
    try:
        return download_with(apt_options(), scratch, packages)
    except UnpackError:
        # The system's lists are missing (a fresh container), or older than the archive.
        options = [*apt_options(), *private_lists(scratch)]
        run(["apt-get", *options, "update"])
        return download_with(options, scratch, packages)


def apt_options() -> list[str]:
    """Return what every apt-get call here needs."""
    # As root apt downloads as the user _apt, who may not write into this directory.
    return ["-qq", "-o", "APT::Sandbox::User=root"] if os.getuid() == 0 else ["-qq"]


def private_lists(scratch: Path) -> list[str]:
    """Return the options that keep package lists and caches in `scratch`."""
    lists, cache = scratch / "lists", scratch / "cache"
    for directory in (lists, cache):
        (directory / "partial").mkdir(parents=True)
    return ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]


def download_with(options: Sequence[str], scratch: Path, packages: Sequence[str]) -> list[Path]:
    """Return the package files, fetched into `scratch` with these apt options.

    Raises:
        UnpackError: a package is unknown, or its archive does not answer.
    """
    run(["apt-get", *options, "download", *missing_packages(options, packages)], cwd=scratch)
    return sorted(scratch.glob("*.deb"))


def missing_packages(options: Sequence[str], packages: Sequence[str]) -> list[str]:
    """Return the packages that an installation would add to this machine.

    Raises:
        UnpackError: the package lists do not know one of them.
    """
    # A simulation needs neither root nor the package database's lock.
    simulate = ["apt-get", *options, "-s", "--no-install-recommends", "install", *packages]
    return parse_simulation(run(simulate)) or list(packages)


def parse_simulation(text: str) -> list[str]:
    """Return the package names of the `Inst` lines that `apt-get -s install` prints."""
    words = [line.split() for line in text.splitlines()]
    return [line[1] for line in words if len(line) > 1 and line[0] == "Inst"]


def run(command: list[str], cwd: Path | None = None) -> str:
    """Return what a command prints.

    Raises:
        UnpackError: it failed; with the last line it wrote.
    """
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            check=True,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=DOWNLOAD_S,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["it said nothing"]
        raise UnpackError(f"{command[0]} failed: {said[-1]}") from error
    except subprocess.TimeoutExpired as error:
        raise UnpackError(f"{command[0]} took over {DOWNLOAD_S} s") from error
    return done.stdout
