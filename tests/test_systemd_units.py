"""systemd accepts both units without a word, and their settings keep edged's promises."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parent.parent / "systemd"
INSTALLED = "/opt/edged/.venv/bin/edged"
DAEMON = "edged.service"
ENGINE = "edged-engine.service"
BOTH = pytest.mark.parametrize("unit", [DAEMON, ENGINE])

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


@needs_systemd
@BOTH
def test_systemd_has_nothing_to_say_about_a_unit(unit: str, tmp_path: Path) -> None:
    assert verify(unit, tmp_path) == ""


@needs_systemd
def test_systemd_does_say_something_about_an_unknown_key(tmp_path: Path) -> None:
    assert "Unknown key" in verify(DAEMON, tmp_path, extra="[Service]\nRestartNever=78\n")


@needs_systemd
def test_systemd_makes_the_user_that_the_units_name(tmp_path: Path) -> None:
    command = ["systemd-sysusers", "--dry-run", f"--root={tmp_path}", "-"]
    lines = (UNITS / "edged.sysusers").read_text()
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    assert f"Creating user '{setting(DAEMON, 'User')}'" in done.stderr


@BOTH
def test_a_bad_configuration_is_not_tried_again(unit: str) -> None:
    assert (setting(unit, "Restart"), setting(unit, "RestartPreventExitStatus")) == (
        "on-failure",
        "78",
    )


@BOTH
def test_a_unit_never_gives_up_on_other_failures(unit: str) -> None:
    assert setting(unit, "StartLimitIntervalSec", "Unit") == "0"


def test_the_clocks_are_given_back_however_the_engine_ends() -> None:
    words = values(ENGINE, "ExecStopPost", "Service")
    assert words == [f"-{INSTALLED}", "restore-clocks", "--config", "/etc/edged/edged.toml"]


@BOTH
def test_the_shared_runtime_directory_outlives_either_unit(unit: str) -> None:
    assert (setting(unit, "RuntimeDirectory"), setting(unit, "RuntimeDirectoryPreserve")) == (
        "edged",
        "yes",
    )


def test_the_two_units_agree_on_user_and_directories() -> None:
    keys = ("User", "Group", "StateDirectory", "StateDirectoryMode", "RuntimeDirectoryMode")
    assert [setting(DAEMON, key) for key in keys] == [setting(ENGINE, key) for key in keys]


def test_the_engine_is_wanted_but_not_tied_to_the_daemon() -> None:
    ties = ("Requires", "BindsTo", "PartOf", "Requisite", "Upholds")
    found = {(unit, tie) for unit in (DAEMON, ENGINE) for tie in ties if setting(unit, tie, "Unit")}
    assert (ENGINE in values(DAEMON, "Wants", "Unit"), found) == (True, set())


def test_the_daemon_waits_for_neither_engine_nor_network_to_be_there() -> None:
    assert values(DAEMON, "After", "Unit") == ["network-online.target"]
    assert values(DAEMON, "Requires", "Unit") == []


def test_the_daemon_has_a_watchdog_and_the_idle_engine_has_none() -> None:
    assert (setting(DAEMON, "WatchdogSec"), setting(ENGINE, "WatchdogSec")) == ("30", None)


def test_every_secret_of_the_broker_s_table_can_be_a_credential_of_the_unit() -> None:
    named = re.findall(
        r"`credential:(edged[\w.]+)`", (UNITS.parent / "docs" / "access.md").read_text()
    )
    assert set(named) == set(values(DAEMON, "LoadCredential", "Service"))
    assert values(ENGINE, "LoadCredential", "Service") == []


@BOTH
def test_the_units_run_unprivileged_and_report_readiness_themselves(unit: str) -> None:
    kept = [setting(unit, key) for key in ("User", "Type", "NotifyAccess", "LimitNOFILE")]
    assert kept == ["edged", "notify", "main", "65536"]


def verify(unit: str, directory: Path, extra: str = "") -> str:
    """Return what systemd-analyze writes about a unit; version 252 exits 0 whatever it finds.

    The units are checked as copies: the program that ExecStart names must exist.
    """
    program = Path(sys.executable).with_name("edged")
    for name in (DAEMON, ENGINE):
        text = (UNITS / name).read_text().replace(INSTALLED, str(program))
        (directory / name).write_text(text + (extra if name == unit else ""))
    command = ["systemd-analyze", "verify", "--man=no", str(directory / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def setting(unit: str, key: str, section: str = "Service") -> str | None:
    """Return a key's one value, or None where the unit leaves the default."""
    found = values(unit, key, section)
    assert len(found) <= 1, f"{key} stands {len(found)} times in {unit}"
    return found[0] if found else None


def values(unit: str, key: str, section: str) -> list[str]:
    """Return every word that a unit gives a key, over all its lines."""
    found: list[str] = []
    here = ""
    for line in (UNITS / unit).read_text().splitlines():
        if line.startswith("["):
            here = line.strip("[]")
        elif here == section and line.startswith(f"{key}="):
            found += line.partition("=")[2].split()
    return found
