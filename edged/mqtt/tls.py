"""TLS to the broker: authorities, the board's own certificate, and what they say of the time.

In:  the broker's table, what time it is at least.     Out: a context for paho's socket.
Files are read at each connect, so that a renewed certificate counts at the next one.
Does not know: MQTT.
"""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

from edged.config import Broker
from edged.credentials import located
from edged.errors import BrokerGone
from edged.time_floor import CertificateOver, TimeFloor, Validity

# Source: openssl/x509_vfy.h; Python has no name for it.
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)


def tls_context(broker: Broker, floor: TimeFloor | None) -> ssl.SSLContext:
    """Return how to speak TLS with the broker.

    Args:
        broker: names the files.
        floor: judges the time of certificates; None: this machine's clock does.

    Raises:
        BrokerGone: a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=broker.tls_ca_file)
    except OSError as error:
        raise unusable("broker.tls_ca_file", broker.tls_ca_file, error) from error
    if broker.tls_certificate_file is not None:
        _show_own(context, broker.tls_certificate_file, broker.tls_key_file)
    if floor is not None and not floor.is_sure:
        context.verify_flags |= _NO_CHECK_TIME
    context.sslsocket_class = _judged_by(floor, broker.where)
    return context


def unusable(key: str, path: Path | None, error: Exception) -> BrokerGone:
    """Return the error that names a key of the configuration whose file cannot be used."""
    return BrokerGone(f"{key} = {path}: cannot be used: {error}")


def _show_own(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(located(certificate), None if key is None else located(key))
    except OSError as error:
        raise unusable("broker.tls_certificate_file", certificate, error) from error


def _judged_by(floor: TimeFloor | None, where: str) -> type[ssl.SSLSocket]:
    """Return the sockets that ask the floor before anything is said: CONNECT has the password."""

    class Judged(ssl.SSLSocket):
        """A socket that closes where the handshake fails, which paho 2.2.0 forgets."""

        def do_handshake(self, block: bool = False) -> None:
            """Shake hands, and leave a broker whose certificates are over."""
            with contextlib.ExitStack() as on_error:
                on_error.callback(self.close)
                super().do_handshake(block)
                if floor is not None:
                    _admit(self, floor, where)
                on_error.pop_all()

    return Judged


def _admit(connected: ssl.SSLSocket, floor: TimeFloor, where: str) -> None:
    try:
        floor.admit(_chain_of(connected))
    except CertificateOver as error:
        raise BrokerGone(f"{where}: certificate not accepted: {error}; renew it") from error


def _chain_of(connected: ssl.SSLSocket) -> list[Validity]:
    """Return the chain that was verified, the broker's own certificate first.

    Source: cpython Modules/_ssl/cert.c; `SSLSocket.get_verified_chain` came with Python 3.13.
    """
    inner: Any = connected._sslobj  # type: ignore[attr-defined] # typeshed has the public names
    verified = inner.get_verified_chain()
    return [_validity(certificate.get_info()) for certificate in verified]


def _validity(info: dict[str, Any]) -> Validity:
    names = {key: value for part in info["subject"] for key, value in part}
    return Validity(
        name=names.get("commonName", "no name"),
        from_s=ssl.cert_time_to_seconds(info["notBefore"]),
        until_s=ssl.cert_time_to_seconds(info["notAfter"]),
    )
