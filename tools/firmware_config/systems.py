"""Which system lies under a root, which device tree it boots, and how it takes overlays.

In: the root of a system.  Out: a `Boot`, or a refusal that names the way by hand.
Sources: Armbian's boot-rk35xx.cmd and boot-rk3576.cmd (armbian/build 82a0c92); u-boot-update of
Debian 12's u-boot-menu 4.2.2; rsetup 331858f of Radxa OS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tools.firmware_config.boards import Board, Overlay
from tools.firmware_config.errors import Refusal
from tools.firmware_config.flat_tree import strings
from tools.firmware_config.settings import words_of

BY_HAND = 'firmware-config/README.md, "By hand"'
OURS = "edged-"  # what the names of our overlays begin with

ARMBIAN_ENV = PurePosixPath("boot/armbianEnv.txt")
U_BOOT_DEFAULTS = PurePosixPath("etc/default/u-boot")
U_BOOT_FRAGMENTS = ("usr/share/u-boot-menu/conf.d", "etc/u-boot-menu/conf.d")
EXTLINUX = PurePosixPath("boot/extlinux/extlinux.conf")


@dataclass(frozen=True, slots=True)
class Switch:
    """A setting that must name an overlay before the boot loader applies it."""

    file: PurePosixPath
    key: str
    suffix: str  # ".dtbo" where files are named, "" where names are

    def word(self, overlay: Overlay) -> str:
        """Return how the setting names an overlay."""
        return overlay.installed + self.suffix


@dataclass(frozen=True, slots=True)
class Boot:
    """How a system boots: what it reads, and where an overlay of ours goes."""

    system: str
    tree: Path  # the DTB that its boot loader will load
    enabled: tuple[Path, ...]  # overlays that it applies already, without ours
    by_name: bool  # applied in the order of their names; else ours come last
    folder: PurePosixPath  # where overlays lie, below the root
    switch: Switch | None  # None: lying in the folder is enough
    command: str | None  # what must be run afterwards
    recovery: str  # what to do on another machine when the board does not boot

    def chain(self, ours: Sequence[Path]) -> list[Path]:
        """Return all overlays in the order in which the boot loader applies them."""
        chain = [*self.enabled, *ours]
        return sorted(chain, key=lambda path: path.name) if self.by_name else chain


def find_boot(root: Path, board: Board) -> Boot:
    """Return how the system under a root boots.

    Raises:
        Refusal: it runs on another board, or it is no system that is known here.
    """
    check_running_board(root, board)
    if (root / "etc/armbian-release").exists() and (root / ARMBIAN_ENV).exists():
        return armbian(root)
    if (root / "etc/radxa_image_fingerprint").exists():
        return radxa_os(root, board)
    raise Refusal(
        "this is neither Armbian (etc/armbian-release, boot/armbianEnv.txt) nor Radxa OS "
        f"(etc/radxa_image_fingerprint). Orange Pi OS, Ubuntu Rockchip and others: {BY_HAND}"
    )


def check_running_board(root: Path, board: Board) -> None:
    """Refuse when the running kernel says that this is another board; say nothing if none runs."""
    try:
        running = strings((root / "proc/device-tree/compatible").read_bytes())
    except FileNotFoundError:
        return
    if board.compatible.isdisjoint(running):
        raise Refusal(f"this board is {' '.join(running)}, not {board.name}")


def armbian(root: Path) -> Boot:
    """Return how Armbian's boot script boots.

    Raises:
        Refusal: this Armbian boots in another way, or does not say which tree it loads.
    """
    if (root / EXTLINUX).exists():
        raise Refusal(f"this Armbian boots by {EXTLINUX}, not by its boot script: {BY_HAND}")
    if "user_overlays" not in _text(root / "boot/boot.cmd"):
        raise Refusal("boot/boot.cmd knows no user_overlays: this Armbian takes no overlays")
    env = _text(root / ARMBIAN_ENV)
    name = words_of(env, "fdtfile")
    if not name:
        raise Refusal(
            f"{ARMBIAN_ENV} has no fdtfile=, so the boot loader chooses the tree by itself and "
            "nothing can be tried on it; add the line, for example "
            "fdtfile=rockchip/rk3588-rock-5b.dtb"
        )
    return Boot(
        system="Armbian",
        tree=_file(root / "boot/dtb" / name[-1], f"fdtfile in {ARMBIAN_ENV}"),
        enabled=tuple(_armbian_overlays(root, env)),
        by_name=False,
        folder=PurePosixPath("boot/overlay-user"),
        switch=Switch(ARMBIAN_ENV, "user_overlays", ""),
        command=None,
        recovery=f"take the edged-... words out of user_overlays= in {ARMBIAN_ENV}",
    )


def _armbian_overlays(root: Path, env: str) -> list[Path]:
    """Return the overlays that the boot script finds; one that is missing it passes over."""
    kernel, user = root / "boot/dtb/rockchip/overlay", root / "boot/overlay-user"
    prefix = " ".join(words_of(env, "overlay_prefix"))
    found = []
    for name in words_of(env, "overlays"):
        both = (kernel / f"{prefix}-{name}.dtbo", kernel / f"{name}.dtbo")
        found += [path for path in both if path.exists()][:1]
    others = [name for name in words_of(env, "user_overlays") if not name.startswith(OURS)]
    paths = [user / f"{name}.dtbo" for name in others]
    return found + [path for path in paths if path.exists()]


def radxa_os(root: Path, board: Board) -> Boot:
    """Return how u-boot-update and extlinux boot.

    Raises:
        Refusal: this Radxa OS boots in another way, or its files contradict each other.
    """
    if not (root / EXTLINUX).exists():
        raise Refusal(f"no {EXTLINUX}: this Radxa OS does not boot by extlinux (EDK2?): {BY_HAND}")
    by, update = _u_boot_setting(root, "U_BOOT_UPDATE")
    if update == ["false"]:
        raise Refusal(f"{by} turns u-boot-update off, which enables overlays")
    _, place = _u_boot_setting(root, "U_BOOT_FDT_OVERLAYS_DIR")
    folder = PurePosixPath((place or ["boot/dtbo"])[0].strip("/"))
    by, allowed = _u_boot_setting(root, "U_BOOT_FDT_OVERLAYS")
    # Without a list u-boot-update takes every .dtbo of the folder; with one, what it names alone.
    every = sorted(path.name for path in (root / folder).glob("*.dtbo"))
    names = [name for name in allowed or every if not name.startswith(OURS)]
    paths = [root / folder / name for name in names]
    return Boot(
        system="Radxa OS",
        tree=_file(_extlinux_tree(root, board), f"the default entry of {EXTLINUX}"),
        enabled=tuple(path for path in paths if path.exists()),
        by_name=not allowed,
        folder=folder,
        switch=Switch(by, "U_BOOT_FDT_OVERLAYS", ".dtbo") if allowed else None,
        command="u-boot-update",
        recovery=f"take the edged-... files out of the fdtoverlays lines of {EXTLINUX}",
    )


def _u_boot_setting(root: Path, key: str) -> tuple[PurePosixPath, list[str]]:
    """Return the file that sets a key of u-boot-update last, and the key's words."""
    parts = [path for folder in U_BOOT_FRAGMENTS for path in sorted((root / folder).glob("*.conf"))]
    files = [U_BOOT_DEFAULTS, *(PurePosixPath(path.relative_to(root)) for path in parts)]
    set_by = [(file, words) for file in files if (words := words_of(_text(root / file), key))]
    return set_by[-1] if set_by else (U_BOOT_DEFAULTS, [])


def _extlinux_tree(root: Path, board: Board) -> Path:
    """Return the DTB of the default entry.

    With `fdtdir` the boot loader appends a file name of its own, which for these boards is that of
    the kernel's file for the board; what lies there is checked for the board's name later.
    """
    entry = default_entry(_text(root / EXTLINUX))
    named = entry.get("fdt") or entry.get("devicetree")
    folder = entry.get("fdtdir") or entry.get("devicetreedir")
    if named is None and folder is None:
        raise Refusal(f"the default entry of {EXTLINUX} names neither fdt nor fdtdir")
    path = named if named is not None else f"{folder}/{board.tree}"
    # Where /boot is a file system of its own, the boot loader sees it as the root.
    candidates = (root / path.lstrip("/"), root / "boot" / path.lstrip("/"))
    return next((found for found in candidates if found.exists()), candidates[0])


def default_entry(text: str) -> dict[str, str]:
    """Return the keys of the entry of an extlinux.conf that starts by default."""
    default = re.search(r"^\s*default\s+(\S+)", text, re.M)
    entries = re.split(r"^\s*label\s+", text, flags=re.M)[1:]
    wanted = [entry for entry in entries if default and entry.split()[0] == default[1]]
    pairs = (line.strip().partition(" ") for line in (wanted or entries or [""])[0].splitlines())
    return {key.lower(): value.strip() for key, _, value in pairs if key}


def _text(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape") if path.exists() else ""


def _file(path: Path, origin: str) -> Path:
    if not path.is_file():
        raise Refusal(f"{origin} leads to {path}, which is no file")
    return path
