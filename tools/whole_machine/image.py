"""Builds the machine's disk: Debian with systemd and mosquitto, and this checkout's edged on it.

In:  a folder for what is kept between runs.     Out: kernel, initrd, and a raw ext4 image.
Needs root: files of other users are made. edged runs from the units of systemd/, unchanged but for
longer time limits, because an emulated processor is slow; for the same reason the `sim` backend
answers.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from tools.broker_programs import ROOT
from tools.whole_machine.programs import Programs

SUITE, SUITE_PYTHON = "bookworm", (3, 11)
PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "dbus", "mosquitto", "python3"),
    *("linux-image-cloud-amd64", "initramfs-tools", "e2fsprogs"),
)
SIZE_MIB = 1536
# Not on the machine: only the backend `llama` imports it.
LEFT_OUT = {"llama-cpp-python", "rknn-toolkit-lite2"}

FILES = {
    "etc/hostname": "edge-1\n",
    "etc/fstab": "/dev/vda / ext4 errors=remount-ro 0 1\n",
    "etc/systemd/network/10-all.network": "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n",
    # What the host can read of a machine that does not answer.
    "etc/systemd/journald.conf.d/console.conf": "[Journal]\nForwardToConsole=yes\n",
    "etc/mosquitto/conf.d/edged.conf": (
        "listener 1883\nallow_anonymous true\nautosave_on_changes true\nautosave_interval 1\n"
        "set_tcp_nodelay true\n"
    ),
    "etc/edged/edged.toml": (
        "[broker]\nreconnect_s_max = 2\nkeepalive_s = 20\n"
        '[engine]\nbackend = "sim"\n[spool]\nretention_s = 31536000\n'
    ),
    "etc/systemd/system/edged.service.d/slow.conf": (
        "[Service]\nTimeoutStartSec=900\nWatchdogSec=600\n"
    ),
    "etc/systemd/system/edged-engine.service.d/slow.conf": "[Service]\nTimeoutStartSec=900\n",
    "opt/edged/.venv/bin/edged": (
        "#!/usr/bin/python3\nimport sys\nsys.path[:0] = ['/opt/edged', '/opt/edged/.venv/site']\n"
        "from edged.__main__ import main\nsys.exit(main())\n"
    ),
}
# A small initrd: only what finds the root.
INITRD_FILES = {
    "etc/initramfs-tools/conf.d/small": "MODULES=list\nCOMPRESS=gzip\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n",
}
IN_THE_MACHINE = (
    "update-initramfs -u -k all",
    "systemctl enable systemd-networkd",
)


class ImageError(Exception):
    """The image cannot be built here; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine boots from."""

    kernel: Path
    initrd: Path
    disk: Path


def build(folder: Path, programs: Programs) -> Image:
    """Return an image with this checkout's edged; Debian itself is built once for a folder.

    Raises:
        ImageError: not root, or another Python than the machine's.
        ProgramError: a program failed.
    """
    _need_what_it_takes()
    folder.mkdir(parents=True, exist_ok=True)
    root, disk = folder / "debian", folder / "disk.img"
    if not root.exists():
        _bootstrap(folder / "debian.new", programs)
        (folder / "debian.new").rename(root)
    _install(root, programs)
    disk.unlink(missing_ok=True)
    options = ("-q", "-F", "-d", str(root), "-E", "lazy_itable_init=0,lazy_journal_init=0")
    programs.run("mkfs.ext4", *options, str(disk), f"{SIZE_MIB}M")
    (kernel,), (initrd,) = (root / "boot").glob("vmlinuz-*"), (root / "boot").glob("initrd.img-*")
    made = Image(folder / "vmlinuz", folder / "initrd", disk)
    shutil.copyfile(kernel, made.kernel)
    shutil.copyfile(initrd, made.initrd)
    return made


def _need_what_it_takes() -> None:
    if os.geteuid() != 0:
        raise ImageError("only root can make the files of a whole machine; run it as root")
    if sys.version_info[:2] != SUITE_PYTHON:
        wanted = ".".join(map(str, SUITE_PYTHON))
        raise ImageError(
            f"Debian {SUITE} has Python {wanted}, and the libraries of .venv are for another one: "
            f"make .venv with it, PYTHON=python{wanted} tools/setup dev"
        )


def _bootstrap(target: Path, programs: Programs) -> None:
    """Make a Debian without edged."""
    shutil.rmtree(target, ignore_errors=True)
    options = ["--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    # As root apt downloads as the user _apt, who may not write into this directory.
    options.append('--aptopt=APT::Sandbox::User "root"')
    programs.run("mmdebstrap", *options, SUITE, str(target))
    _write(target, INITRD_FILES)
    for command in IN_THE_MACHINE:
        programs.run("chroot", str(target), "sh", "-c", command)
    shutil.rmtree(target / "var/cache/apt", ignore_errors=True)


def _install(root: Path, programs: Programs) -> None:
    """Put edged on a machine as its unit files say: under /opt, with units, a user and a file."""
    shutil.rmtree(root / "opt/edged", ignore_errors=True)
    _write(root, FILES)
    (root / "opt/edged/.venv/bin/edged").chmod(0o755)
    ignore = shutil.ignore_patterns("__pycache__", "eval")
    shutil.copytree(ROOT / "edged", root / "opt/edged/edged", ignore=ignore)
    for source, place in _library_files():
        target = root / "opt/edged/.venv/site" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for unit in (ROOT / "systemd").glob("*.service"):
        shutil.copyfile(unit, root / "etc/systemd/system" / unit.name)
    users = root / "etc/sysusers.d/edged.conf"
    users.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "systemd/edged.sysusers", users)
    for command in ("systemd-sysusers", "systemctl enable edged.service"):
        programs.run("chroot", str(root), "sh", "-c", command)


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _library_files() -> Iterator[tuple[Path, str]]:
    """Return the files of the packages that edged needs, each with its place among them."""
    for name in needed("edged") - {"edged"}:
        for file in importlib.metadata.files(name) or []:
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.suffix != ".pyc" and source.is_file():
                yield source, str(file)


def needed(package: str) -> set[str]:
    """Return a package and all that it needs, as this environment has them, extras left out."""
    found, waiting = set[str](), [package]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += [other for other in _requirements(name) if other not in LEFT_OUT]
    return found


def _requirements(package: str) -> list[str]:
    found = map(Requirement, importlib.metadata.requires(package) or [])
    return [one.name for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
