"""Bundles, keys and certificates of a test's own, signed as OpenSSF model-signing signs.

In: a directory of the test.  Out: folders that `edged model install` takes, or has to refuse, and a
store to install them in.
`tests/signed_bundles` holds two that the real tool signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edged.store.bundle import SIGNATURE, Bundle, read_bundle
from edged.store.register import Register, Slot
from edged.store.signature import Trust, pae
from edged.store.store import Store, Whom

GOLDEN = Path(__file__).parent / "signed_bundles"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
YEAR = timedelta(days=365)
WEIGHTS = b"weights" * 1000
UNSIGNED = Whom(Trust(), allow_unsigned=True)
TEMPLATE = """
name = "dock-number"
root = "Read the dock."
payload = "{text}"
schema = '{"type":"object","properties":{"dock":{"type":"integer","minimum":1,"maximum":9}},\
"required":["dock"],"additionalProperties":false}'
[variables.text]
description = "a message"
[example]
input = "dock 6"
answer = '{"dock":6}'
"""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key pair, and certificates where it has some; the first is the signer's."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        """Return the public key."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def material(self) -> dict[str, Any]:
        """Return what a sigstore bundle says of the signer."""
        if not self.chain:
            return {"publicKey": {"hint": hashlib.sha256(self.pem).hexdigest()}}
        ders = (one.public_bytes(Encoding.DER) for one in self.chain)
        certificates = [{"rawBytes": base64.b64encode(der).decode()} for der in ders]
        return {"x509CertificateChain": {"certificates": certificates}}


def new_signer(curve: ec.EllipticCurve | None = None) -> Signer:
    """Return a fresh key."""
    return Signer(ec.generate_private_key(curve or ec.SECP256R1()))


@pytest.fixture
def signer() -> Signer:
    """A key of the test's own."""
    return new_signer()


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, and how it was issued itself."""

    signer: Signer

    @property
    def certificate(self) -> x509.Certificate:
        """Return its own certificate."""
        return self.signer.chain[0]

    def write(self, path: Path) -> Path:
        """Write its certificate, as store.authorities names it."""
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path

    def issue(
        self,
        name: str,
        *,
        purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CODE_SIGNING,
        authority: bool = False,
        path_length: int | None = None,
        start: datetime = NOW - YEAR,
        end: datetime = NOW + YEAR,
    ) -> Signer:
        """Return a signer with a certificate of this authority."""
        key = ec.generate_private_key(ec.SECP384R1())
        draft = _draft(name, self.certificate.subject, key, start, end)
        draft = draft.add_extension(x509.BasicConstraints(authority, path_length), critical=True)
        draft = draft.add_extension(_usage(authority), critical=True)
        if purpose is not None:
            draft = draft.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        own = draft.sign(self.signer.key, hashes.SHA256())
        return Signer(key, (own, *(one for one in self.signer.chain if one.issuer != one.subject)))


def new_authority(
    name: str = "Site CA", start: datetime = NOW - YEAR, end: datetime = NOW + 10 * YEAR
) -> Authority:
    """Return a root authority."""
    key = ec.generate_private_key(ec.SECP384R1())
    draft = _draft(name, _name(name), key, start, end)
    draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    draft = draft.add_extension(_usage(authority=True), critical=True)
    return Authority(Signer(key, (draft.sign(key, hashes.SHA256()),)))


def _draft(
    name: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    start: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    draft = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(issuer)
    draft = draft.public_key(key.public_key()).serial_number(x509.random_serial_number())
    return draft.not_valid_before(start).not_valid_after(end)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def statement(files: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    """Return the statement that the real tool makes of these files."""
    ordered = {name: files[name] for name in sorted(files)}
    root = hashlib.sha256(b"".join(map(bytes.fromhex, ordered.values()))).hexdigest()
    resources = [
        {"name": name, "algorithm": "sha256", "digest": digest} for name, digest in ordered.items()
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "bundle", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": resources,
        },
    } | changes


def signature_of(payload: bytes, signer: Signer) -> bytes:
    """Return a sigstore bundle over a statement."""
    digest = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    signed = signer.key.sign(pae(payload), ec.ECDSA(digest[signer.key.key_size]))
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {**signer.material, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": base64.b64encode(signed).decode(), "keyid": ""}],
            },
        }
    ).encode()


def sign(folder: Path, signer: Signer, signature: str = SIGNATURE) -> Path:
    """Sign a folder; return it."""
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != signature
    }
    payload = json.dumps(statement(files)).encode()
    (folder / signature).write_bytes(signature_of(payload, signer))
    return folder


def model_folder(
    folder: Path, version: int = 1, weights: bytes = WEIGHTS, name: str = "own"
) -> Path:
    """Write the folder of a model, unsigned."""
    folder.mkdir(parents=True)
    (folder / "own.gguf").write_bytes(weights)
    (folder / "model.toml").write_text(
        f'name = "{name}"\nversion = {version}\nfile = "own.gguf"\n'
        f'sha256 = "{hashlib.sha256(weights).hexdigest()}"\n'
    )
    return folder


def templates_folder(
    folder: Path, version: int = 1, text: str = TEMPLATE, about: str = "", rows: str = ""
) -> Path:
    """Write the folder of templates, unsigned; `rows`: their evaluation set."""
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "dock-number.toml").write_text(text)
    (folder / "templates.toml").write_text(f'name = "dock"\nversion = {version}\n{about}')
    if rows:
        (folder / "eval" / "held_out").mkdir(parents=True)
        (folder / "eval" / "held_out" / "dock-number.jsonl").write_text(rows)
    return folder


def trusting(folder: Path, signer: Signer) -> Trust:
    """Return the trust of a board that believes this signer's key."""
    path = folder / "signer.pem"
    path.write_bytes(signer.pem)
    return Trust(keys=(path,))


def bundle_in(folder: Path, trust: Trust | None = None) -> Bundle:
    """Return the bundle in a folder, of whichever kind; without trust it may be unsigned."""
    is_model = (folder / "model.toml").exists()
    return read_bundle(
        "model" if is_model else "templates",
        folder,
        trust or Trust(),
        NOW,
        allow_unsigned=trust is None,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store without bundles."""
    return Store(tmp_path / "state")


def quiet(name: str) -> None:
    """Take the names of files that are copied."""


def installed(store: Store, folder: Path, trust: Trust | None = None) -> Slot:
    """Install a bundle."""
    return store.install(bundle_in(folder, trust), quiet)


def activated(store: Store, slot: Slot, whom: Whom = UNSIGNED) -> Register:
    """Make a slot of models active, as after a trial that served."""
    store.propose("model", slot, whom, "test")
    return store.commit()
