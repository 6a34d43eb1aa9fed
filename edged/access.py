"""Who could get in: what `edged check` warns of at the broker's table.

In:  the table, files that it names, the broker where it answers.     Out: sentences, each with what
to do. Nothing here keeps edged from running.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from edged.config import Broker
from edged.credentials import is_out_of_reach, located
from edged.doctor.broker import lets_anyone_in

# So long before its end a certificate is told of: time to renew it in the next maintenance.
NEAR_S = 30 * 86_400.0
SECRETS = ("password_file", "tls_key_file")
CERTIFICATES = ("tls_certificate_file", "tls_ca_file")


def access_warnings(broker: Broker, now_s: float) -> Iterator[str]:
    """Yield what somebody should mend: open doors, open secrets, certificates near their end.

    Args:
        broker: the table.
        now_s: Unix time.
    """
    if lets_anyone_in(broker):
        yield (
            f"broker: {broker.where} lets anyone in without a name, who may then ask as any client "
            "and read all answers; set allow_anonymous false there (docs/access.md)"
        )
    for key in SECRETS:
        yield from _of_secret(key, getattr(broker, key))
    for key in CERTIFICATES:
        yield from _of_certificate(key, getattr(broker, key), now_s)


def _of_secret(key: str, path: Path | None) -> Iterator[str]:
    if path is None or is_out_of_reach(path):
        return  # a unit's credential is where nobody else can read it
    try:
        mode = located(path).stat().st_mode
    except OSError as error:
        yield f"broker.{key} = {path}: cannot be read: {error.strerror}"
    else:
        if mode & stat.S_IROTH:
            yield f"broker.{key} = {path}: everybody on this machine may read it; chmod 600 {path}"


def _of_certificate(key: str, path: Path | None, now_s: float) -> Iterator[str]:
    if path is None or is_out_of_reach(path):
        return
    try:
        found = x509.load_pem_x509_certificates(located(path).read_bytes())
    except (OSError, ValueError) as error:
        yield f"broker.{key} = {path}: cannot be read: {error}"
        return
    ends = min(one.not_valid_after_utc for one in found)
    begins = max(one.not_valid_before_utc for one in found)
    left_s = ends.timestamp() - now_s
    if left_s < 0:
        yield f"broker.{key} = {path}: expired on {ends.date()}; renew it (tools/site-ca)"
    elif left_s < NEAR_S:
        days = int(left_s / 86_400)
        yield f"broker.{key} = {path}: expires on {ends.date()}, in {days} days; renew it"
    if begins.timestamp() > now_s:
        today = datetime.fromtimestamp(now_s, UTC).date()
        yield f"broker.{key} = {path}: valid from {begins.date()}, and the clock says {today}"
