"""A slot: a folder that a bundle is copied into, file by file, and compared with afterwards.

In:  pieces with their digests.     Out: the files, whole and durable; or `StoreRefused`.
What is there already is not copied again, and a file that was cut off goes on where it ended.
Does not know: which slot is active.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from edged.durable import sync_folder
from edged.errors import StoreRefused
from edged.store.bundle import Piece, sha256_of

PART = ".part"
# What stays free beside a bundle: the spool lives on the same disk.
SPARE_BYTES = 32 * 2**20
_READ_BYTES = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Told the name of each file that is copied.
Told = Callable[[str], None]


def fill(folder: Path, pieces: Sequence[Piece], told: Told) -> None:
    """Have a folder hold these pieces and nothing else.

    Raises:
        StoreRefused: no room, a file that is not what was signed, or a disk that will not. What
            was copied stays, and the next call goes on with it.
    """
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _clear(folder, pieces)
        _check_room(folder, pieces)
        for piece in pieces:
            _place(folder, piece, told)
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            path.chmod(0o755)  # whatever the umask of whoever installs
            sync_folder(path)
    except OSError as error:
        raise StoreRefused(_explained(folder, error)) from error


def differences(folder: Path, files: Mapping[str, str], but: str | None = None) -> list[str]:
    """Return what in a folder is not as it should be, in words; `but` is not looked at.

    Args:
        folder: of a bundle.
        files: path -> SHA-256 of all its files.
        but: path of the model, which who loads it compares.
    """
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    found = [f"{name} is missing" for name in files if name not in there]
    found += [f"{name} does not belong there" for name in sorted(there - set(files))]
    changed = (name for name in files if name in there - {but})
    return found + [
        f"{name} was changed" for name in changed if sha256_of(folder / name) != files[name]
    ]


def _clear(folder: Path, pieces: Sequence[Piece]) -> None:
    """Remove what another bundle left."""
    wanted = {folder / piece.name for piece in pieces}
    wanted |= {path.with_name(path.name + PART) for path in wanted}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(other.is_relative_to(path) for other in wanted):
                path.rmdir()
        elif path not in wanted or path.is_symlink():
            path.unlink()


def _check_room(folder: Path, pieces: Sequence[Piece]) -> None:
    """Refuse what the disk cannot hold, before anything is written."""
    missing_bytes = sum(
        max(0, piece.size_bytes - _held_bytes(folder / piece.name)) for piece in pieces
    )
    free_bytes = shutil.disk_usage(folder).free
    if missing_bytes and missing_bytes + SPARE_BYTES > free_bytes:
        raise StoreRefused(
            f"{folder}: {missing_bytes / 1e6:.1f} MB are to be copied, and "
            f"{free_bytes / 1e6:.1f} MB are free, of which {SPARE_BYTES / 1e6:.1f} MB stay for the "
            "spool; make room"
        )


def _held_bytes(path: Path) -> int:
    """Return the bytes of a file that are there, whole or in part."""
    part = path.with_name(path.name + PART)
    return max((one.stat().st_size for one in (path, part) if one.is_file()), default=0)


def _place(folder: Path, piece: Piece, told: Told) -> None:
    target = folder / piece.name
    if target.is_file() and sha256_of(target) == piece.sha256:
        return
    told(piece.name)
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    part = target.with_name(target.name + PART)
    with _opened(piece) as source, _part(part) as copy:
        found = _copied(source, copy)
        copy.flush()
        os.fchmod(copy.fileno(), 0o644)
        os.fsync(copy.fileno())
    if found != piece.sha256:
        part.unlink()
        raise StoreRefused(
            f"{piece.name}: its SHA-256 is {found}, signed is {piece.sha256}: it was changed "
            "since, or damaged; fetch the bundle again"
        )
    part.replace(target)


def _opened(piece: Piece) -> BinaryIO:
    return io.BytesIO(piece.origin) if isinstance(piece.origin, bytes) else piece.origin.open("rb")


def _part(path: Path) -> BinaryIO:
    """Open what an interrupted copy left, for reading and going on."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644), "r+b")


def _copied(source: BinaryIO, copy: BinaryIO) -> str:
    """Go on with a copy as far as it is one; return the SHA-256 of all of it."""
    hashed, at = hashlib.sha256(), 0
    while chunk := source.read(_READ_BYTES):
        copy.seek(at)
        if copy.read(len(chunk)) != chunk:
            copy.seek(at)
            copy.write(chunk)
        hashed.update(chunk)
        at += len(chunk)
    copy.truncate(at)
    return hashed.hexdigest()


def _explained(folder: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"{folder}: the disk took no more ({error.strerror}); make room and install again: it "
            "goes on where it ended"
        )
    where = error.filename or folder
    return f"{where}: {error.strerror}; the store belongs to root or edged's user: run it as such"
