"""Compiles overlays and tries them on the very device tree that the boot loader will load.

In: sources, a DTB, overlays that are already enabled.  Out: compiled overlays, or a refusal.
U-Boot and fdtoverlay share libfdt: what fails here fails there. Applying alone proves little: an
overlay that names a node wrongly adds a new one and changes nothing, so the nodes are compared.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.firmware_config.boards import Board, Overlay
from tools.firmware_config.errors import Refusal
from tools.firmware_config.flat_tree import Tree, read_tree, strings
from tools.firmware_config.systems import Boot


def compile_and_try(board: Board, overlays: Sequence[Overlay], boot: Boot) -> dict[Overlay, bytes]:
    """Return the board's overlays as .dtbo files that the boot loader's tree takes.

    Raises:
        Refusal: one does not compile, does not apply, or adds what it should not.
    """
    with tempfile.TemporaryDirectory(prefix="edged-firmware-") as scratch:
        files: dict[Overlay, Path] = {}
        for overlay in overlays:
            files[overlay] = Path(scratch) / f"{overlay.installed}.dtbo"
            compile_overlay(board.source(overlay), files[overlay])
        try_overlays(board, files, boot, Path(scratch))
        return {overlay: path.read_bytes() for overlay, path in files.items()}


def try_overlays(board: Board, files: Mapping[Overlay, Path], boot: Boot, scratch: Path) -> None:
    """Apply the overlays as the boot loader will.

    Raises:
        Refusal: as `compile_and_try`.
    """
    before = read_tree(boot.tree.read_bytes(), str(boot.tree))
    check_tree(board, before, boot.tree)
    if boot.enabled:
        apply(boot.tree, boot.enabled, scratch / "enabled.dtb", "an overlay enabled before")
    for overlay, file in files.items():
        after = scratch / "one.dtb"
        apply(boot.tree, [file], after, f"{overlay.name}, {advice(before, overlay)}")
        check_additions(overlay, before, read_tree(after.read_bytes(), overlay.name))
    if files:
        chain = boot.chain(list(files.values()))
        apply(boot.tree, chain, scratch / "all.dtb", "all overlays together")


def check_tree(board: Board, tree: Tree, origin: Path) -> None:
    """Refuse a tree of another board, or one that takes no overlays."""
    names = strings(tree["/"].get("compatible", b""))
    if board.compatible.isdisjoint(names):
        raise Refusal(f"{origin} is the tree of {' '.join(names)}, not of {board.name}")
    if "/__symbols__" not in tree:
        raise Refusal(f"{origin} was built without symbols (dtc -@): it takes no overlays")


def advice(tree: Tree, overlay: Overlay) -> str:
    """Return what is likely when an overlay does not apply."""
    if overlay.name == "npu-cap" and "npu_opp_table" not in tree["/__symbols__"]:
        return (
            "because this tree has no table of NPU clocks, as mainline kernels have none; "
            "leave it out with --without npu-cap"
        )
    return f"which this kernel's tree has no place for; leave it out with --without {overlay.name}"


def check_additions(overlay: Overlay, before: Tree, after: Tree) -> None:
    """Refuse an overlay that adds nodes other than those it says it adds."""
    added = {path.rsplit("/", 1)[1] for path in after.keys() - before.keys()}
    strange = sorted(added - overlay.adds)
    if strange:
        raise Refusal(
            f"overlay {overlay.name} would add {', '.join(strange)} instead of changing it: this "
            f"kernel names its nodes otherwise; leave it out with --without {overlay.name}"
        )


def compile_overlay(source: Path, target: Path) -> None:
    """Compile an overlay; dtc says nothing about labels that no tree has.

    Raises:
        Refusal: dtc is missing or does not take the source.
    """
    _run(["dtc", "-@", "-q", "-I", "dts", "-O", "dtb", "-o", str(target), str(source)], source.name)


def apply(base: Path, overlays: Sequence[Path], target: Path, what: str) -> None:
    """Write a tree with overlays applied.

    Raises:
        Refusal: one does not apply; the text names `what`.
    """
    command = ["fdtoverlay", "-i", str(base), "-o", str(target), *map(str, overlays)]
    _run(command, f"{base}: {what}")


def _run(command: Sequence[str], what: str) -> None:
    program = shutil.which(command[0])
    if program is None:
        raise Refusal(f"needs {command[0]}: apt-get install device-tree-compiler")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or "it said nothing"
        raise Refusal(f"{command[0]} refuses {what}\n  {said}")
