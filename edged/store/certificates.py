"""Whether a certificate that signed a bundle goes back to an authority that this board trusts.

In:  a chain of certificates (DER), trusted authorities (PEM), a time.     Out: the signer's key and
name, or `StoreRefused`.
Every certificate of the way must be valid at that time, every issuer an authority that may sign
certificates, and the signer one for signing code: a device's TLS certificate of the same authority
signs no models. No revocation lists: without a network they would be old ones.
Source: RFC 5280, 4.2.1.3, 4.2.1.9, 4.2.1.12 and 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from edged.errors import ConfigError, StoreRefused

# Authorities between the signer and the trusted one.
BETWEEN_MAX = 4
_KNOWN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}


def trusted_leaf(
    chain: Sequence[bytes], authorities: Sequence[Path], at: datetime
) -> tuple[Any, str]:
    """Return the public key of the chain's first certificate, and its name.

    Raises:
        StoreRefused: it may not sign models, or does not go back to one of `authorities`.
        ConfigError: one of these cannot be read.
    """
    try:
        leaf, *between = [x509.load_der_x509_certificate(der) for der in chain]
        name = f"{leaf.subject.rfc4514_string()} sha256:{leaf.fingerprint(hashes.SHA256()).hex()}"
        _check_use(leaf)
        _check_way(leaf, between, _read(authorities), at)
    except ValueError as error:
        raise StoreRefused(f"the signature's certificate cannot be read: {error}") from error
    return leaf.public_key(), name


def _read(paths: Sequence[Path]) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for path in paths:
        try:
            found += x509.load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"store.authorities: {path}: cannot be read as certificates (PEM): {error}"
            ) from error
    return found


def _check_way(
    leaf: x509.Certificate,
    between: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    """Go from issuer to issuer until one is trusted."""
    one = leaf
    for depth in range(BETWEEN_MAX + 1):
        _check_time(one, at)
        for anchor in trusted:
            if _issued(one, anchor, depth):
                _check_time(anchor, at)
                return
        issuer = next((other for other in between if _issued(one, other, depth)), None)
        if issuer is None:
            break
        one = issuer
    raise StoreRefused(
        f"the certificate {leaf.subject.rfc4514_string()!r} goes back to no authority of "
        f"store.authorities; it was issued by {one.issuer.rfc4514_string()!r}"
    )


def _issued(one: x509.Certificate, by: x509.Certificate, depth: int) -> bool:
    """Return whether an authority issued a certificate, with `depth` authorities below it."""
    if by.subject != one.issuer or not _is_authority(by, depth):
        return False
    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(one: x509.Certificate, depth: int) -> bool:
    _check_extensions(one)
    limits, usage = _extension(one, x509.BasicConstraints), _extension(one, x509.KeyUsage)
    if limits is None or not limits.ca or (usage is not None and not usage.key_cert_sign):
        return False
    return limits.path_length is None or depth <= limits.path_length


def _check_use(leaf: x509.Certificate) -> None:
    _check_extensions(leaf)
    usage, purposes = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.ExtendedKeyUsage)
    signs = usage is None or usage.digital_signature
    if not signs or purposes is None or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise StoreRefused(
            f"the certificate {leaf.subject.rfc4514_string()!r} is none for signing models: it "
            "needs the extended key usage codeSigning, and digitalSignature where it has a usage"
        )


def _check_extensions(one: x509.Certificate) -> None:
    unknown = [item.oid for item in one.extensions if item.critical and item.oid not in _KNOWN]
    if unknown:
        raise StoreRefused(
            f"the certificate {one.subject.rfc4514_string()!r} has a critical extension that edged "
            f"does not know: {unknown[0].dotted_string}"
        )


def _check_time(one: x509.Certificate, at: datetime) -> None:
    name = one.subject.rfc4514_string()
    if at > one.not_valid_after_utc:
        raise StoreRefused(
            f"the certificate {name!r} expired on {one.not_valid_after_utc:%Y-%m-%d}; sign again "
            "with one that is valid"
        )
    if at < one.not_valid_before_utc:
        raise StoreRefused(
            f"the certificate {name!r} is valid from {one.not_valid_before_utc:%Y-%m-%d} on, and "
            f"this board believes that it is {at:%Y-%m-%d}; set its clock"
        )


def _extension(one: x509.Certificate, kind: type[Any]) -> Any:
    """Return the value of an extension; None where there is none."""
    try:
        return one.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
