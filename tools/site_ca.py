"""A site's own certificate authority: who is the broker, a board, a device.

In:  a folder, names.     Out: `ca.pem`, `NAME.pem` and `NAME.key` in it, PEM; keys for their owner
alone. A client's name is what the broker's access list knows it by.
EC keys on P-256: small devices know that curve, and a signature costs them little.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edged.topics import is_id

CA = "ca"
CRL = "crl.pem"
CA_DAYS = 3650
# Two years and three months: clients of other makers refuse longer ones.
CERTIFICATE_DAYS = 825
# Devices whose clocks are a little behind take a certificate that was made just now.
BACKDATED = timedelta(days=1)
KEY_MODE = 0o600


class SiteError(Exception):
    """What is asked for cannot be made; its text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Term:
    """How long a certificate is good."""

    begins: datetime
    ends: datetime


def term_of(days: int, now: datetime) -> Term:
    """Return the term of a certificate that is made now."""
    return Term(now - BACKDATED, now + timedelta(days=days))


class Site:
    """The authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(self, name: str, term: Term) -> None:
        """Make the authority.

        Raises:
            SiteError: there is one.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(f"{name} site CA")
        request = _builder(subject, subject, key.public_key(), term)
        authority = x509.BasicConstraints(ca=True, path_length=0)
        request = request.add_extension(authority, critical=True)
        request = request.add_extension(_usage(signs_others=True), critical=True)
        self._write(CA, key, request.sign(key, hashes.SHA256()))

    def broker(self, name: str, addresses: Sequence[str], term: Term) -> None:
        """Make the broker's certificate, for the names and addresses that it is reached by.

        Raises:
            SiteError: there is no authority, the name is taken or none, or no address is given.
        """
        if not addresses:
            raise SiteError("name what clients call the broker: its host name, its IP address")
        alternatives = x509.SubjectAlternativeName([_address(one) for one in addresses])
        self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, term, alternatives)

    def client(self, name: str, term: Term) -> None:
        """Make a client's certificate.

        Raises:
            SiteError: there is no authority, or the name is taken or none.
        """
        self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, term, None)

    def revoke(self, name: str, now: datetime) -> None:
        """Write the list of those that are not to get in, with this one on it.

        Raises:
            SiteError: there is no such certificate.
        """
        revoked = self._certificate(name)
        path = self.folder / CRL
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._authority.subject)
        # As long as the authority: a list that is over locks everybody out.
        builder = builder.last_update(now).next_update(self._authority.not_valid_after_utc)
        if path.exists():
            for earlier in x509.load_pem_x509_crl(path.read_bytes()):
                builder = builder.add_revoked_certificate(earlier)
        entry = x509.RevokedCertificateBuilder().serial_number(revoked.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
        signed = builder.sign(self._authority_key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def listed(self) -> list[tuple[str, datetime]]:
        """Return each certificate of the folder, and its end."""
        paths = sorted(path for path in self.folder.glob("*.pem") if path.name != CRL)
        return [(path.stem, self._certificate(path.stem).not_valid_after_utc) for path in paths]

    def _issue(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        term: Term,
        alternatives: x509.SubjectAlternativeName | None,
    ) -> None:
        if not is_id(name) or name == CA:
            raise SiteError(f"{name!r}: a name is 1 to 64 of A-Z a-z 0-9 _ . -, and not {CA!r}")
        if term.ends > self._authority.not_valid_after_utc:
            ends = self._authority.not_valid_after_utc.date()
            raise SiteError(f"the authority ends on {ends}, before this certificate; fewer --days")
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self._authority.subject
        request = _builder(_named(name), issuer, key.public_key(), term)
        request = request.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        request = request.add_extension(_usage(signs_others=False), critical=True)
        request = request.add_extension(self._authority_id, critical=False)
        request = request.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if alternatives is not None:
            request = request.add_extension(alternatives, critical=False)
        self._write(name, key, request.sign(self._authority_key, hashes.SHA256()))

    def _write(
        self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> None:
        """Write key and certificate; none is ever written over."""
        path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        plain = serialization.NoEncryption()
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
        )
        try:
            handle = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_MODE)
        except FileExistsError as error:
            raise SiteError(
                f"{key_path} is there; to renew {name}, move its .key and .pem away first"
            ) from error
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def _authority(self) -> x509.Certificate:
        return self._certificate(CA)

    @property
    def _authority_id(self) -> x509.AuthorityKeyIdentifier:
        known = self._authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known.value)

    @property
    def _authority_key(self) -> ec.EllipticCurvePrivateKey:
        content = (self.folder / f"{CA}.key").read_bytes()
        key = serialization.load_pem_private_key(content, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey), "as `new` makes it"
        return key

    def _certificate(self, name: str) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())
        except FileNotFoundError as error:
            advice = f"; make the authority first: tools/site-ca new {self.folder}"
            raise SiteError(
                f"{error.filename} is not there{advice if name == CA else ''}"
            ) from error


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, term: Term
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(term.begins).not_valid_after(term.ends)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        key_cert_sign=signs_others,
        crl_sign=signs_others,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _address(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def main(words: Sequence[str] | None = None) -> int:
    """Do what is asked; 1 and a sentence where it cannot be done."""
    given = _parser().parse_args(words)
    site, now = Site(given.folder), datetime.now(UTC)
    try:
        match given.command:
            case "new":
                site.new(given.site, term_of(given.days, now))
            case "broker":
                site.broker(given.name, given.addresses, term_of(given.days, now))
            case "client":
                site.client(given.name, term_of(given.days, now))
            case "revoke":
                site.revoke(given.name, now)
            case _:
                for name, ends in site.listed():
                    print(f"{name:24} until {ends.date()}{'  EXPIRED' if ends < now else ''}")
    except SiteError as error:
        print(f"site-ca: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="site-ca", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    new = _add(commands, "new", CA_DAYS)
    new.add_argument("--site", default="edged", help="what the site is called")
    broker = _add(commands, "broker", CERTIFICATE_DAYS)
    broker.add_argument("name")
    broker.add_argument("addresses", nargs="*", metavar="ADDRESS")
    _add(commands, "client", CERTIFICATE_DAYS).add_argument("name")
    _add(commands, "revoke", None).add_argument("name")
    _add(commands, "list", None)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, days: int | None
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name)
    parser.add_argument("folder", type=Path)
    if days is not None:
        parser.add_argument("--days", type=int, default=days)
    return parser


if __name__ == "__main__":
    sys.exit(main())
