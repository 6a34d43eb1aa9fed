"""The site's authority: what it makes, what it refuses; what `edged check` says of its files."""

from __future__ import annotations

import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from edged.__main__ import main as edged_main
from edged.access import access_warnings
from edged.config import Broker
from tests.broker import Mosquitto
from tests.site_broker import GOOD, NOW, SiteBroker, made
from tools.site_ca import SiteError, Term, main

DAY_S = 86_400.0
LONG = Term(NOW, NOW + timedelta(days=80))
AWAY = 9  # nothing listens on that port of loopback


def said(broker: Broker, later_s: float = 0.0) -> list[str]:
    """Return what `edged check` warns of."""
    return list(access_warnings(broker, NOW.timestamp() + later_s))


def table(folder: Path, **keys: object) -> Broker:
    names = {
        "tls_ca_file": str(folder / "ca.pem"),
        "tls_certificate_file": str(folder / "edge-1.pem"),
        "tls_key_file": str(folder / "edge-1.key"),
    }
    return Broker.model_validate({"port": AWAY, **names, **keys})


def test_a_certificate_is_signed_by_its_authority_for_its_purpose(tmp_path: Path) -> None:
    made(tmp_path, "edge-1")
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(tmp_path / "ca.pem")]
    for name, purpose in (("edge-1", "sslclient"), ("broker", "sslserver")):
        words = [*command, "-purpose", purpose, str(tmp_path / f"{name}.pem")]
        assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    wrong = [*command, "-purpose", "sslserver", str(tmp_path / "edge-1.pem")]
    assert subprocess.run(wrong, capture_output=True, check=False).returncode != 0


def test_keys_are_their_owner_s_alone(tmp_path: Path) -> None:
    made(tmp_path, "edge-1")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.key")}
    assert modes == {0o600}


@pytest.mark.parametrize("name", ["a/b", "", "+", "#", "ca", "x" * 65])
def test_a_name_that_the_access_list_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    site = made(tmp_path)
    with pytest.raises(SiteError, match="a name is"):
        site.client(name, GOOD)


def test_nothing_is_ever_written_over(tmp_path: Path) -> None:
    site = made(tmp_path, "edge-1")
    before = (tmp_path / "edge-1.key").read_bytes()
    with pytest.raises(SiteError, match="move its"):
        site.client("edge-1", GOOD)
    assert (tmp_path / "edge-1.key").read_bytes() == before


def test_a_certificate_that_outlives_its_authority_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="fewer --days"):
        made(tmp_path).client("edge-1", Term(NOW, NOW + timedelta(days=365)))


def test_a_second_revocation_keeps_the_first(tmp_path: Path) -> None:
    site = made(tmp_path, "a", "b")
    site.revoke("a", NOW)
    site.revoke("b", NOW)
    crl = x509.load_pem_x509_crl((tmp_path / "crl.pem").read_bytes())
    assert len(list(crl)) == 2


def test_the_command_makes_an_authority_a_broker_and_a_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "site")
    orders = (
        ["new", folder],
        ["broker", folder, "broker", "10.0.0.2", "broker.dock.lan"],
        ["client", folder, "scanner-7"],
        ["revoke", folder, "scanner-7"],
        ["list", folder],
    )
    assert [main(order) for order in orders] == [0] * 5
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "broker", "ca", "scanner-7",
    ]  # fmt: skip


def test_the_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["client", str(tmp_path), "scanner-7"]) == 1
    assert "make the authority first" in capsys.readouterr().err


def test_what_is_well_is_warned_of_nowhere(tmp_path: Path) -> None:
    made(tmp_path).client("edge-1", LONG)
    assert said(table(tmp_path)) == []


def test_a_certificate_near_its_end_is_warned_of(tmp_path: Path) -> None:
    made(tmp_path, "edge-1")
    (found,) = said(table(tmp_path), 20 * DAY_S)
    assert "tls_certificate_file" in found
    assert "in 9 days" in found or "in 10 days" in found


def test_an_expired_certificate_is_warned_of(tmp_path: Path) -> None:
    made(tmp_path, "edge-1")
    (found,) = said(table(tmp_path), 40 * DAY_S)
    assert "expired on" in found


def test_a_certificate_that_is_not_valid_yet_is_warned_of(tmp_path: Path) -> None:
    made(tmp_path, "edge-1")
    found = [one for one in said(table(tmp_path), -10 * DAY_S) if "the clock says" in one]
    assert len(found) == 1


def test_a_key_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    made(tmp_path).client("edge-1", LONG)
    (tmp_path / "edge-1.key").chmod(0o644)
    (found,) = said(table(tmp_path))
    assert f"chmod 600 {tmp_path / 'edge-1.key'}" in found


@pytest.mark.broker
def test_a_broker_that_lets_anyone_in_is_warned_of(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "open") as broker:
        (found,) = said(Broker(port=broker.port))
    assert "lets anyone in without a name" in found


@pytest.mark.broker
def test_the_shipped_broker_lets_nobody_in_without_a_name(tmp_path: Path) -> None:
    site = made(tmp_path / "site")
    site.client("edge-1", LONG)
    with SiteBroker(tmp_path / "broker", site) as broker:
        assert said(broker.table("edge-1")) == []


def test_a_credential_of_the_unit_is_nothing_to_warn_of() -> None:
    secret = Path("credential:edged.password")
    assert said(Broker(port=AWAY, username="u", password_file=secret)) == []


def test_a_secret_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    (found,) = said(Broker(port=AWAY, username="u", password_file=tmp_path / "none"))
    assert "cannot be read: No such file" in found


def test_edged_check_prints_its_warnings_and_is_content(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path).client("edge-1", LONG)
    (tmp_path / "edge-1.key").chmod(0o644)
    keys = "\n".join(
        f'{key} = "{tmp_path / name}"'
        for key, name in (
            ("tls_ca_file", "ca.pem"),
            ("tls_certificate_file", "edge-1.pem"),
            ("tls_key_file", "edge-1.key"),
        )
    )
    file = tmp_path / "edged.toml"
    file.write_text(f'[engine]\nbackend = "sim"\n[broker]\nport = {AWAY}\n{keys}\n')
    assert edged_main(["check", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines][-2:] == ["warning", "ok"]
    assert "chmod 600" in lines[-2]
