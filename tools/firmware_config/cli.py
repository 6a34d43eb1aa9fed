"""Installs firmware-config/ on a board, shows what it would do, or takes it back.

    tools/install-firmware-config BOARD [--dry-run | --revert] [--without OVERLAY] [--root DIR]

In: the command line.  Out: files under the root, and sentences; exit code 1 is a refusal, after
which nothing was changed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.firmware_config import record
from tools.firmware_config.boards import BOARDS, Board, board_named, chosen
from tools.firmware_config.errors import Refusal
from tools.firmware_config.plan import plan
from tools.firmware_config.systems import EXTLINUX, OURS, Boot, default_entry, find_boot
from tools.firmware_config.trial import compile_and_try

RECOVER = """\
If the board does not come up again: put its card or eMMC into another machine, mount it, and there
  tools/install-firmware-config {board} --revert --root MOUNT_POINT
or, by hand, {recovery}. The files as they were are in /{backups}."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        board = board_named(options.board)
        if options.revert:
            revert(options.root, dry_run=options.dry_run)
        else:
            install(options.root, board, frozenset(options.without), dry_run=options.dry_run)
    except Refusal as refusal:
        print(f"install-firmware-config: {refusal}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"install-firmware-config: {error}; run it as root", file=sys.stderr)
        return 1
    return 0


def install(root: Path, board: Board, without: frozenset[str], *, dry_run: bool) -> None:
    """Try the overlays, then write what is to be changed.

    Raises:
        Refusal: nothing was changed; the text says why.
    """
    overlays = chosen(board, without)
    boot = find_boot(root, board)
    print(f"{board.name}, {boot.system}, boots {boot.tree}")
    compiled = compile_and_try(board, overlays, boot)
    for overlay in overlays:
        print(f"  tried    {overlay.name}: {overlay.does}")
    changes, before = plan(root, board, compiled, boot), record.load(root)
    steps = record.installing(root, changes, before)
    show(steps)
    if not has_group(root):
        print("There is no group edged yet: install edged first, or its clock limits stay root's.")
    names = frozenset(f"{overlay.installed}.dtbo" for overlay in overlays)
    done = all(step.does in ("same", "keep") for step in steps)
    if dry_run:
        print("Nothing was written (--dry-run).")
    elif done and is_listed(root, boot, names):
        print("Nothing to do.")
    else:
        record.save_for(root, board.name, changes, before)
        record.carry_out(root, steps)
        tell_boot_loader(root, boot, names)
        how = {"recovery": boot.recovery, "backups": record.BACKUPS}
        print(RECOVER.format(board=board.name, **how))
        print("Reboot the board to use it.")


def revert(root: Path, *, dry_run: bool) -> None:
    """Put the files back as they were before the first installation.

    Raises:
        Refusal: nothing was changed; the text says why.
    """
    entries = list(record.load(root).values())
    if not entries:
        print("Nothing is installed here.")
        return
    steps = record.reverting(root, entries)
    show(steps)
    if dry_run:
        print("Nothing was written (--dry-run).")
        return
    record.carry_out(root, steps)
    record.forget(root)
    if (root / EXTLINUX).exists():
        run_command(root, "u-boot-update")
    print(f"Reverted. Backups stay in /{record.BACKUPS}. Reboot the board.")


def has_group(root: Path) -> bool:
    """Return whether the system has the group that udev gives the clock limits to."""
    groups = root / "etc/group"
    return groups.exists() and "edged:" in (line[:6] for line in groups.read_text().splitlines())


def show(steps: Sequence[record.Step]) -> None:
    """Print what happens to each file."""
    for step in steps:
        print(f"  {step.does:8} /{step.path}: {step.why}")


def tell_boot_loader(root: Path, boot: Boot, names: frozenset[str]) -> None:
    """Run what makes the boot loader see the overlays, and say so if it then does not."""
    if boot.command is not None:
        run_command(root, boot.command)
    if root == Path("/") and not is_listed(root, boot, names):
        print(f"{EXTLINUX} does not list {', '.join(sorted(names))}: look there before you reboot")


def is_listed(root: Path, boot: Boot, names: frozenset[str]) -> bool:
    """Return whether the boot loader's menu has these overlays of ours and no others."""
    if boot.command is None:
        return True
    listed = default_entry((root / EXTLINUX).read_text("utf-8")).get("fdtoverlays", "")
    ours = (Path(path).name for path in listed.split())
    return {name for name in ours if name.startswith(OURS)} == names


def run_command(root: Path, command: str) -> None:
    """Run a command of the running system; of another root it can only be named."""
    if root != Path("/"):
        print(f"Now run in that system: {command}")
        return
    program = shutil.which(command)
    if program is None or subprocess.run([program], check=False).returncode != 0:
        print(f"{command} is missing or failed: the boot loader does not know the change yet")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/install-firmware-config",
        description="Installs firmware-config/ for a board on Armbian or Radxa OS. Overlays are "
        "tried on the device tree that the boot loader will load; what fails is refused.",
    )
    parser.add_argument("board", metavar="BOARD", help=", ".join(BOARDS))
    parser.add_argument("--dry-run", action="store_true", help="try and show, write nothing")
    parser.add_argument("--revert", action="store_true", help="put everything back")
    parser.add_argument(
        "--without", action="append", default=[], metavar="OVERLAY", help="leave an overlay out"
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="another system's root"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
