"""A bundle that was carried here to install edged from: is it as somebody trusted signed it.

In:  an unpacked bundle of `tools/build-bundle`, whom to believe.     Out: `Carried`, or
`StoreRefused`.
Every file counts: one that was added is refused like one that was changed. Nothing is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edged.errors import StoreRefused
from edged.store.bundle import sha256_of, small_file
from edged.store.manifest import read_statement
from edged.store.signature import SIGNATURE_BYTES_MAX, Trust, verified

SIGNATURE = "bundle.sig"
# A refusal names so many files.
_NAMED_MAX = 10


@dataclass(frozen=True, slots=True)
class Carried:
    """A bundle whose files are all as they were signed.

    Attributes:
        files: path in the bundle -> SHA-256, 64 hex digits.
        signer: `key` or the certificate's subject, and a SHA-256 that tells it from others.
    """

    files: Mapping[str, str]
    signer: str


def check_carried(folder: Path, trust: Trust, at: datetime) -> Carried:
    """Return what an unpacked bundle holds.

    Args:
        folder: where it lies; nothing is written there.
        trust: whom to believe.
        at: when certificates have to be valid.

    Raises:
        StoreRefused: nobody trusted signed it, or it was changed since.
        ConfigError: a trusted key or authority cannot be read.
    """
    if not trust.keys and not trust.authorities:
        raise StoreRefused(
            "there is no key to check with: give --key FILE, or name one in store.keys"
        )
    if not folder.is_dir():
        raise StoreRefused(f"{folder}: there is no such folder; unpack the bundle first")
    signature = small_file(folder / SIGNATURE, SIGNATURE_BYTES_MAX)
    if signature is None:
        raise StoreRefused(
            f"{folder}: no {SIGNATURE} in it, so nobody signed it; do not install it"
        )
    signed = verified(signature, trust, at)
    files = read_statement(signed.payload).files
    wrong = list(_differences(folder, files))
    if wrong:
        more = len(wrong) - _NAMED_MAX
        rest = [f"{more} more"] if more > 0 else []
        named = ", ".join([*wrong[:_NAMED_MAX], *rest])
        raise StoreRefused(f"{folder} is not as it was signed, do not install it: {named}")
    return Carried(files, signed.signer)


def _differences(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Yield what was changed, is missing, or was added; links are followed nowhere."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    plain = {name for name, path in found.items() if path.is_file() and not path.is_symlink()}
    folders = {name for name, path in found.items() if path.is_dir() and not path.is_symlink()}
    for name in sorted(files):
        if name not in plain:
            yield f"{name!r} is no file" if name in found else f"{name!r} is missing"
        elif sha256_of(found[name]) != files[name]:
            yield f"{name!r} was changed"
    yield from (
        f"{name!r} was not signed" for name in sorted(found.keys() - folders - {*files, SIGNATURE})
    )
