#!/usr/bin/env python3
"""Says whether a bundle is as its signer made it, on a machine that has no edged yet.

    python3 verify_bundle.py release.pem edged_0.1.0-1_arm64

In: the signer's public key, the unpacked bundle.  Out: exit code 0, or 1 and what is wrong.
Wants openssl and Python 3.9, no network, and no other file of edged. It is carried once, together
with the key and by another way than the bundles: a copy that came in a bundle would say what its
maker wants.
Source: sigstore/model-transparency, src/model_signing/_signing (the statement, the hash of each
curve); secure-systems-lab/dsse, protocol.md (what is signed of it).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SIGNATURE = "bundle.sig"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
# The kind of statement, of what it says, and how files are counted: whole.
KIND = ("https://in-toto.io/Statement/v1", "https://model_signing/signature/v1.0", "files")
# The curves' object identifiers, as they stand in a key. Source: RFC 5480, 2.1.1.1.
HASHES = {
    bytes.fromhex("06082a8648ce3d030107"): "sha256",
    bytes.fromhex("06052b81040022"): "sha384",
    bytes.fromhex("06052b81040023"): "sha512",
}
# As edged/store/manifest.py has it: no path that leaves the bundle or that a shell takes otherwise.
NAME = re.compile(r"[A-Za-z0-9_.+-][A-Za-z0-9_.+~-]*(/[A-Za-z0-9_.+-][A-Za-z0-9_.+~-]*)*")
NAME_CHARS_MAX = 200
READ_BYTES = 2**20
# A refusal names so many files.
NAMED_MAX = 10


class Refusal(Exception):
    """The bundle is not to be installed; the text says why, and what to do where that is known."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a bundle; return 0, or 1 with a sentence on standard error."""
    given = _parser().parse_args(arguments)
    try:
        files = checked(given.key, given.folder)
    except (Refusal, OSError) as refusal:
        print(f"verify_bundle: {refusal}\nDo not install it.", file=sys.stderr)
        return 1
    print(f"{given.folder}: {len(files)} files, each as it was signed with the key {given.key}")
    return 0


def checked(key: Path, folder: Path) -> Mapping[str, str]:
    """Return the digests of a bundle's files, by their names in it.

    Raises:
        Refusal: it is not as the key's owner signed it.
    """
    if not folder.is_dir():
        raise Refusal(f"{folder} is no folder; unpack the bundle first: tar -xf")
    payload, signature = read_envelope(folder / SIGNATURE)
    check_signature(key, payload, signature)
    files = files_of(payload)
    wrong = list(differences(folder, files))
    if wrong:
        more = f", and {len(wrong) - NAMED_MAX} more" if len(wrong) > NAMED_MAX else ""
        raise Refusal(f"{folder} is not as it was signed: {', '.join(wrong[:NAMED_MAX])}{more}")
    return files


def read_envelope(path: Path) -> tuple[bytes, bytes]:
    """Return the statement and the signature over it; nothing is believed yet.

    Raises:
        Refusal: there is none.
    """
    try:
        envelope = json.loads(path.read_bytes())["dsseEnvelope"]
        (one,) = envelope["signatures"]
        texts, kind = (envelope["payload"], one["sig"]), envelope["payloadType"]
        payload, signature = (base64.b64decode(text, validate=True) for text in texts)
    except FileNotFoundError as error:
        raise Refusal(f"there is no {path}: nobody signed this bundle") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(f"{path} is no signature of model_signing: {error!r}") from error
    if kind != PAYLOAD_TYPE:
        raise Refusal(f"{path} is a signature over {kind!r}, which is no list of files")
    return payload, signature


def check_signature(key: Path, payload: bytes, signature: bytes) -> None:
    """Refuse a statement that the key's owner did not sign.

    Raises:
        Refusal: so it is; or the key cannot be used.
    """
    read = openssl(["pkey", "-pubin", "-in", str(key), "-pubout", "-outform", "DER"])
    curve = next((name for oid, name in HASHES.items() if oid in read.stdout), None)
    if read.returncode != 0 or curve is None:
        said = read.stderr.decode(errors="replace").strip()
        raise Refusal(f"{key} is no public key (PEM) of P-256, P-384 or P-521: {said}")
    with tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        command = ["dgst", f"-{curve}", "-verify", str(key), "-signature", file.name]
        done = openssl(command, pae(payload))
    if done.returncode != 0 or done.stdout.strip() != b"Verified OK":
        raise Refusal(f"{SIGNATURE} was not made with the key {key}, or was changed since")


def openssl(words: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run openssl to its end.

    Raises:
        Refusal: it is not installed.
    """
    try:
        return subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise Refusal("needs openssl: apt-get install openssl, or check elsewhere") from error


def pae(payload: bytes) -> bytes:
    """Return what is signed of a statement."""
    head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} "
    return head.encode() + payload


def files_of(payload: bytes) -> Mapping[str, str]:
    """Return the digests that a signed statement names.

    Raises:
        Refusal: it is another kind of statement.
    """
    try:
        statement = json.loads(payload)
        told = statement["predicate"]
        kind = (statement["_type"], statement["predicateType"], told["serialization"]["method"])
        rows = [(row["name"], row["algorithm"], row["digest"]) for row in told["resources"]]
        names, algorithms = {row[0] for row in rows}, {row[1] for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"what was signed is no list of files: {error!r}") from error
    if kind != KIND or len(names) < len(rows) or algorithms != {"sha256"}:
        raise Refusal(f"what was signed is no list of whole files with their SHA-256: {kind}")
    strange = [name for name in names if not is_plain(name)]
    if strange:
        raise Refusal(f"what was signed names {strange[0]!r}, as no file of a bundle is called")
    return {name: digest for name, _, digest in rows}


def is_plain(name: object) -> bool:
    """Return whether a file of a bundle can be called so."""
    if not isinstance(name, str) or len(name) > NAME_CHARS_MAX or NAME.fullmatch(name) is None:
        return False
    return not {".", ".."} & set(name.split("/")) and not name.endswith(".part")


def differences(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Yield what differs from the signed files: changed, missing, or there besides."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    for name, digest in sorted(files.items()):
        path = there.get(name)
        if path is None:
            yield f"{name!r} is missing"
        elif path.is_symlink() or not path.is_file():
            yield f"{name!r} is no file"
        elif sha256(path) != digest:
            yield f"{name!r} was changed"
    for name, path in sorted(there.items()):
        is_ours = name in files or name == SIGNATURE
        if not is_ours and (path.is_symlink() or not path.is_dir()):
            yield f"{name!r} was not signed"


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_BYTES):
            hashed.update(part)
    return hashed.hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify_bundle.py",
        description="Says whether an unpacked bundle of edged is as its signer made it.",
    )
    parser.add_argument("key", metavar="KEY", type=Path, help="the signer's public key, PEM")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the unpacked bundle")
    return parser


if __name__ == "__main__":
    sys.exit(main())
