"""What a signature speaks of: the files of a bundle and their digests.

In:  the in-toto statement that OpenSSF model-signing signs.     Out: `Manifest`.
Pure. Does not know: keys, the files themselves.
Source: sigstore/model-transparency, src/model_signing/_signing/signing.py, predicate v1.0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edged.errors import StoreRefused
from edged.misfits import misfits

# A bundle has a model, some templates, a set for each: more would only be read in vain.
FILES_MAX = 1000
NAME_CHARS_MAX = 200
# Debian's names of early versions have a tilde; a first one would be a home for a shell.
_NAME = re.compile(r"[A-Za-z0-9_.+-][A-Za-z0-9_.+~-]*(/[A-Za-z0-9_.+-][A-Za-z0-9_.+~-]*)*")

_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """What a later version of the format adds is left, as the format asks of verifiers."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Digest(_Part):
    sha256: _Sha256


class _Subject(_Part):
    digest: _Digest


class _Resource(_Part):
    name: str
    algorithm: str
    digest: str


class _Serialization(_Part):
    method: str


class _Predicate(_Part):
    serialization: _Serialization
    resources: list[_Resource] = Field(min_length=1, max_length=FILES_MAX)


class _Statement(_Part):
    kind: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: list[_Subject] = Field(min_length=1, max_length=1)
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: _Predicate


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a bundle.

    Attributes:
        files: path in the bundle, its levels parted by `/` -> SHA-256, 64 hex digits.
        root: SHA-256 over all their digests in the order of their paths: the bundle's own name.
    """

    files: Mapping[str, str]
    root: str


def manifest_of(files: Mapping[str, str]) -> Manifest:
    """Return the manifest of these files; paths that a bundle cannot have are refused.

    Raises:
        StoreRefused: names the path.
    """
    for name in files:
        _check_name(name)
    ordered = {name: files[name] for name in sorted(files)}
    return Manifest(ordered, _root(ordered.values()))


def read_statement(payload: bytes) -> Manifest:
    """Return the manifest in a statement whose signature was verified.

    Raises:
        StoreRefused: another kind of statement, or one that is at odds with itself.
    """
    try:
        statement = _Statement.model_validate_json(payload)
    except ValidationError as error:
        problem = misfits(error)[0]
        raise StoreRefused(f"the signed statement is none of a model: {problem}") from error
    return _manifest(statement)


def _manifest(statement: _Statement) -> Manifest:
    predicate = statement.predicate
    if predicate.serialization.method != "files":
        raise StoreRefused(
            f"the signature is over {predicate.serialization.method!r}; sign whole files, as "
            "model_signing does unless told otherwise"
        )
    others = {item.algorithm for item in predicate.resources} - {"sha256"}
    if others:
        raise StoreRefused(
            f"digests of {', '.join(sorted(others))}: edged knows sha256; sign again"
        )
    files = {item.name: item.digest for item in predicate.resources}
    if len(files) < len(predicate.resources):
        raise StoreRefused("the signed statement names a file twice")
    if _root(item.digest for item in predicate.resources) != statement.subject[0].digest.sha256:
        raise StoreRefused("the signed statement is at odds with itself: its digests make another")
    return manifest_of(files)


def _check_name(name: str) -> None:
    """Refuse a path that leaves the bundle, or that a shell or a file system may take otherwise."""
    is_plain = len(name) <= NAME_CHARS_MAX and _NAME.fullmatch(name) is not None
    if not is_plain or {".", ".."} & set(name.split("/")) or name.endswith(".part"):
        raise StoreRefused(
            f"{name[:NAME_CHARS_MAX]!r}: no file of a bundle can be called so; use letters, "
            "digits, _ . + ~ - and /"
        )


def _root(digests: Iterable[str]) -> str:
    try:
        return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()
    except ValueError as error:
        raise StoreRefused(f"a digest is no hexadecimal number: {error}") from error
