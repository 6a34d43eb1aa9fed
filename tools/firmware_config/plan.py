"""What an installation changes: files of our own, and settings in files of the system.

In: a board, its compiled overlays, how the system boots.  Out: `Change`s; nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from tools.firmware_config.boards import FIRMWARE, Board, Overlay
from tools.firmware_config.settings import with_block, with_words, without_words
from tools.firmware_config.systems import Boot

COMMON = FIRMWARE / "common"
ARMBIAN_ZRAM = PurePosixPath("etc/default/armbian-zram-config")


@dataclass(frozen=True, slots=True)
class OwnFile:
    """Undone by removing the file, or by putting back the one that was there."""


@dataclass(frozen=True, slots=True)
class Words:
    """Undone by taking words out of a setting."""

    key: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Undone by taking our marked lines out of a file."""


Undo: TypeAlias = OwnFile | Words | Block


@dataclass(frozen=True, slots=True)
class Change:
    """A file as it shall be."""

    path: PurePosixPath  # below the root
    content: bytes
    undo: Undo


def plan(
    root: Path, board: Board, compiled: Mapping[Overlay, bytes], boot: Boot
) -> tuple[Change, ...]:
    """Return the changes in the order in which they are safe: what enables overlays comes last."""
    return (
        *_tree_of_files(COMMON / "all"),
        *_tree_of_files(COMMON / boot.system.lower().replace(" ", "-")),
        *_zram(root),
        *_overlay_files(compiled, boot),
        *_switched(root, board, compiled, boot),
    )


def _tree_of_files(folder: Path) -> Iterator[Change]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield Change(PurePosixPath(path.relative_to(folder)), path.read_bytes(), OwnFile())


def _zram(root: Path) -> Iterator[Change]:
    """Armbian sizes its compressed swap by variables of a file that its own package installs."""
    if (root / ARMBIAN_ZRAM).exists():
        lines = (COMMON / "armbian-zram-config").read_text("utf-8")
        text = with_block(_text(root / ARMBIAN_ZRAM), lines)
        yield Change(ARMBIAN_ZRAM, _bytes(text), Block())


def _overlay_files(compiled: Mapping[Overlay, bytes], boot: Boot) -> Iterator[Change]:
    for overlay, content in compiled.items():
        yield Change(boot.folder / f"{overlay.installed}.dtbo", content, OwnFile())


def _switched(
    root: Path, board: Board, compiled: Mapping[Overlay, bytes], boot: Boot
) -> Iterator[Change]:
    if boot.switch is None:
        return
    every = [boot.switch.word(overlay) for overlay in board.overlays]
    wanted = [boot.switch.word(overlay) for overlay in compiled]
    unwanted = [word for word in every if word not in wanted]
    text = without_words(_text(root / boot.switch.file), boot.switch.key, unwanted)
    text = with_words(text, boot.switch.key, wanted)
    yield Change(boot.switch.file, _bytes(text), Words(boot.switch.key, tuple(every)))


# U-Boot and shells take any bytes; what is not UTF-8 comes back as it was.
def _text(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
