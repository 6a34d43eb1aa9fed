"""Fake roots of a board's system, as Armbian and Radxa OS lay them out, with a small tree to boot.

In: a folder and a board.  Out: the root; its files are what the installer reads, nothing more.
Sources: Armbian's boot-rk35xx.cmd and distro-agnostic.sh; u-boot-update of u-boot-menu 4.2.2.
"""

from __future__ import annotations

from pathlib import Path

from tests.device_trees import Kernel, blob, run
from tools.firmware_config.boards import BOARDS

VERSION = "6.1.115-vendor-rk35xx"
RADXA_VERSION = "6.1.84-8-rk2410"


def armbian(root: Path, board: str, kernel: Kernel = "vendor", env: str = "") -> Path:
    """Lay out what Armbian has; `env` is added to armbianEnv.txt."""
    tree = BOARDS[board].tree
    blob(board, root / f"boot/dtb-{VERSION}" / tree, kernel)
    (root / "boot/dtb").symlink_to(f"dtb-{VERSION}")
    (root / f"boot/dtb-{VERSION}/rockchip/overlay").mkdir()
    lines = f"verbosity=1\nextraargs=cma=256M\noverlay_prefix=rk35xx\nfdtfile={tree}\n{env}"
    write(root / "boot/armbianEnv.txt", lines)
    write(root / "boot/boot.cmd", "for overlay_file in ${user_overlays}; do true; done\n")
    write(root / "etc/armbian-release", f"BOARD={board}\n")
    write(root / "etc/default/armbian-zram-config", "ENABLED=true\n# ZRAM_PERCENTAGE=50\n")
    return root


def radxa_os(root: Path, board: str = "rock-5b", kernel: Kernel = "vendor") -> Path:
    """Lay out what Radxa OS has."""
    folder = f"usr/lib/linux-image-{RADXA_VERSION}"
    blob(board, root / folder / BOARDS[board].tree, kernel)
    (root / "boot/dtbo").mkdir(parents=True)
    write(root / "etc/radxa_image_fingerprint", "FINGERPRINT_VERSION='2'\n")
    write(root / "etc/default/u-boot", '# U_BOOT_FDT_OVERLAYS=""\nU_BOOT_TIMEOUT="10"\n')
    write(root / "boot/extlinux/extlinux.conf", extlinux(f"fdtdir /{folder}/"))
    return root


def extlinux(tree: str) -> str:
    """Return an extlinux.conf of two kernels; the default one has this line for its tree."""
    return (
        "default l0\nmenu title U-Boot menu\n\n"
        "label l1\n\tlinux /boot/vmlinuz-old\n\tfdtdir /usr/lib/linux-image-old/\n\n"
        f"label l0\n\tlinux /boot/vmlinuz-{RADXA_VERSION}\n\t{tree}\n\tappend root=UUID=1 quiet\n"
    )


def u_boot_updated(root: Path) -> None:
    """Write into extlinux.conf what u-boot-update would; nothing happens where there is none."""
    file = root / "boot/extlinux/extlinux.conf"
    if file.exists():
        names = sorted(path.name for path in (root / "boot/dtbo").glob("*.dtbo"))
        line = f"fdtoverlays  {' '.join(f'/boot/dtbo/{name}' for name in names)}"
        tree = f"fdtdir /usr/lib/linux-image-{RADXA_VERSION}/"
        write(file, extlinux(f"{tree}\n\t{line}" if names else tree))


def foreign_overlay(path: Path, label: str = "i2c1") -> Path:
    """Compile an overlay that is not ours; with a label that no tree has it cannot be applied."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f'/dts-v1/;\n/plugin/;\n&{label} {{ status = "okay"; }};\n'
    run("dtc", "-@", "-I", "dts", "-O", "dtb", "-o", str(path), "-", text=text)
    return path


def running_on(root: Path, name: str) -> None:
    """Let the running kernel say which board this is."""
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/device-tree/compatible").write_bytes(f"{name}\0rockchip,rk3588\0".encode())


def contents(root: Path) -> dict[str, bytes]:
    """Return every file of a root but for the installer's own backups."""
    files = [path for path in root.rglob("*") if path.is_file()]
    named = {str(path.relative_to(root)): path.read_bytes() for path in files}
    return {name: content for name, content in named.items() if not name.startswith("var/backups")}


def write(path: Path, text: str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
