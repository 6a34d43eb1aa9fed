"""Whether a bundle was signed by somebody whom this board trusts; without a network.

In:  a sigstore bundle as OpenSSF model-signing writes it, the trusted keys and authorities, a time.
Out: the signed statement and who signed it, or `StoreRefused`.
`cryptography` is loaded here and in `certificates` alone, when a signature is looked at.
Source: sigstore bundle v0.3; secure-systems-lab/dsse, protocol.md; sigstore/model-transparency,
src/model_signing/_signing/sign_ec_key.py: the curves, and the hash of each.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edged.errors import ConfigError, StoreRefused
from edged.misfits import misfits

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
# A statement has about 150 bytes for each file.
SIGNATURE_BYTES_MAX = 4 * 2**20


def _decoded(value: object) -> object:
    """Return the bytes of Base64 text; anything else is left for the check of types."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not Base64: {error}") from error


_Base64 = Annotated[bytes, BeforeValidator(_decoded)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Certificate(_Part):
    der: _Base64 = Field(alias="rawBytes")


class _Chain(_Part):
    certificates: list[_Certificate] = Field(min_length=1, max_length=8)


class _PublicKey(_Part):
    hint: str | None = None


class _Material(_Part):
    public_key: _PublicKey | None = Field(None, alias="publicKey")
    chain: _Chain | None = Field(None, alias="x509CertificateChain")


class _Signature(_Part):
    sig: _Base64


class _Envelope(_Part):
    payload: _Base64
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: list[_Signature] = Field(min_length=1, max_length=1)


class _SigstoreBundle(_Part):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = Field(alias="mediaType")
    material: _Material = Field(alias="verificationMaterial")
    envelope: _Envelope = Field(alias="dsseEnvelope")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom this board believes: PEM files of public keys, and of certificate authorities."""

    keys: Sequence[Path] = ()
    authorities: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement that somebody trusted signed.

    Attributes:
        payload: the statement, JSON.
        signer: `key` or the certificate's subject, and a SHA-256 that tells it from others.
    """

    payload: bytes
    signer: str


def verified(signature: bytes, trust: Trust, at: datetime) -> Signed:
    """Return what was signed.

    Args:
        signature: content of the signature file.
        trust: whom to believe.
        at: when certificates have to be valid.

    Raises:
        StoreRefused: nobody trusted signed it, or it was changed since.
        ConfigError: a file of a trusted key or authority cannot be used.
    """
    if len(signature) > SIGNATURE_BYTES_MAX:
        raise StoreRefused(f"the signature file has over {SIGNATURE_BYTES_MAX} bytes")
    try:
        bundle = _SigstoreBundle.model_validate_json(signature)
    except ValidationError as error:
        raise StoreRefused(
            f"the signature is no sigstore bundle of one DSSE envelope: {misfits(error)[0]}"
        ) from error
    key, signer = _key_of(bundle.material, trust, at)
    envelope = bundle.envelope
    _check_signature(key, envelope.signatures[0].sig, pae(envelope.payload))
    return Signed(envelope.payload, signer)


def pae(payload: bytes) -> bytes:
    """Return what is signed of a statement: DSSE's pre-authentication encoding."""
    head = f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} "
    return head.encode() + payload


def _key_of(material: _Material, trust: Trust, at: datetime) -> tuple[Any, str]:
    """Return the public key that must have signed, and whose it is."""
    if material.chain is not None:
        from edged.store.certificates import trusted_leaf

        chain = [item.der for item in material.chain.certificates]
        return trusted_leaf(chain, trust.authorities, at)
    if material.public_key is None:
        raise StoreRefused(
            "the signature is neither of a key nor of a certificate chain; sign with "
            "`model_signing sign key` or `sign certificate`: sigstore's own needs a network"
        )
    known = {key_name(path): path for path in trust.keys}
    hint = material.public_key.hint
    if hint not in known:
        raise StoreRefused(
            f"signed with the key {hint}, which is not in store.keys; "
            f"there are: {', '.join(known) or 'none'}"
        )
    return _load(known[hint]), f"key sha256:{hint}"


def key_name(path: Path) -> str:
    """Return what a signature calls a public key: the SHA-256 of its PEM form.

    Raises:
        ConfigError: the file is no such key.
    """
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem: bytes = _load(path).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def _load(path: Path) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"store.keys: {path}: cannot be read as a public key (PEM): {error}"
        ) from error
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise ConfigError(f"store.keys: {path}: must be an EC key of {', '.join(_HASHES)}")
    return key


# The hash that belongs to a curve.
_HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}


def _check_signature(key: Any, signature: bytes, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey

    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise StoreRefused(f"signed with another key than an EC key of {', '.join(_HASHES)}")
    try:
        key.verify(signature, signed, ECDSA(getattr(hashes, _HASHES[key.curve.name])()))
    except InvalidSignature as error:
        raise StoreRefused(
            "the signature is not right: the statement was changed, or another key made it"
        ) from error
