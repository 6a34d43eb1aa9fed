"""A bundle before it is installed: a folder, its signature, and what both say.

In:  a folder, whom to believe.     Out: `Bundle`: pieces with their digests, or `StoreRefused`.
The large files are not read here: each is compared with its digest while it is copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edged.errors import StoreRefused
from edged.store.about import ABOUT, About, Kind, read_about
from edged.store.manifest import Manifest, manifest_of, read_statement
from edged.store.signature import SIGNATURE_BYTES_MAX, Trust, verified

# Source: model_signing's default of --signature.
SIGNATURE = "model.sig"
ABOUT_BYTES_MAX = 2**20
_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of a bundle.

    Attributes:
        name: its path in the bundle.
        sha256: what it has to hash to.
        origin: where it comes from, or its content.
    """

    name: str
    sha256: str
    origin: Path | bytes

    @property
    def size_bytes(self) -> int:
        """Return its size.

        Raises:
            OSError: it is not there.
        """
        return len(self.origin) if isinstance(self.origin, bytes) else self.origin.stat().st_size


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature was verified, or that has none.

    Attributes:
        root: tells it from all others; see `Manifest`.
        signer: who signed it; None: nobody.
        signature: content of its signature file.
    """

    kind: Kind
    about: About
    pieces: tuple[Piece, ...]
    root: str
    signer: str | None
    signature: bytes | None = None

    @property
    def files(self) -> dict[str, str]:
        """Return path -> SHA-256."""
        return {piece.name: piece.sha256 for piece in self.pieces}


def read_bundle(
    kind: Kind, folder: Path, trust: Trust, at: datetime, *, allow_unsigned: bool
) -> Bundle:
    """Return the bundle in a folder.

    Args:
        kind: what it has to be.
        folder: where it lies; nothing is written there.
        trust: whom to believe.
        at: when certificates have to be valid.
        allow_unsigned: whether one without a signature is taken.

    Raises:
        StoreRefused: unsigned, signed by nobody trusted, or not what it should be.
        ConfigError: a trusted key or authority cannot be read.
    """
    if not folder.is_dir():
        raise StoreRefused(f"{folder}: there is no such folder; give the folder of a bundle")
    signature = small_file(folder / SIGNATURE, SIGNATURE_BYTES_MAX)
    if signature is not None:
        signed = verified(signature, trust, at)
        manifest, signer = read_statement(signed.payload), signed.signer
    elif allow_unsigned:
        manifest, signer = _hashed(folder), None
    else:
        raise StoreRefused(
            f"{folder}: no {SIGNATURE} in it, so nobody signed it; sign it (see docs/models.md), "
            "or set store.allow_unsigned = true"
        )
    pieces = [Piece(name, sha256, folder / name) for name, sha256 in manifest.files.items()]
    return bundle_of(kind, pieces, manifest, signer, signature)


def bundle_of(
    kind: Kind,
    pieces: Iterable[Piece],
    manifest: Manifest,
    signer: str | None,
    signature: bytes | None = None,
) -> Bundle:
    """Return a bundle whose own description stands among its pieces.

    Raises:
        StoreRefused: it does not, or is at odds with the others.
    """
    by_name = {piece.name: piece for piece in pieces}
    about = _about(kind, by_name)
    if kind == "model" and manifest.files.get(about.file or "") != about.sha256:
        raise StoreRefused(
            f"{ABOUT[kind]}: file and sha256 name no file of the bundle: {about.file}, "
            f"{about.sha256}"
        )
    return Bundle(kind, about, tuple(by_name.values()), manifest.root, signer, signature)


def _about(kind: Kind, pieces: Mapping[str, Piece]) -> About:
    piece = pieces.get(ABOUT[kind])
    if piece is None:
        raise StoreRefused(
            f"the bundle has no {ABOUT[kind]} (see docs/models.md); it holds: "
            f"{', '.join(pieces)[:200]}"
        )
    content = (
        piece.origin
        if isinstance(piece.origin, bytes)
        else small_file(piece.origin, ABOUT_BYTES_MAX)
    )
    if content is None or hashlib.sha256(content).hexdigest() != piece.sha256:
        raise StoreRefused(f"{ABOUT[kind]}: missing, or not the file that was signed")
    return read_about(kind, content)


def _hashed(folder: Path) -> Manifest:
    """Return the manifest of what lies there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return manifest_of({path.relative_to(folder).as_posix(): sha256_of(path) for path in paths})


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits.

    Raises:
        StoreRefused: it cannot be read.
    """
    hashed = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(_READ_BYTES):
                hashed.update(part)
    except OSError as error:
        raise StoreRefused(f"{path}: cannot be read: {error.strerror}") from error
    return hashed.hexdigest()


def small_file(path: Path, bytes_max: int) -> bytes | None:
    """Return a small file's content; None where there is none.

    Raises:
        StoreRefused: it cannot be read, or is no small file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreRefused(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > bytes_max:
        raise StoreRefused(f"{path}: has over {bytes_max} bytes")
    return content
