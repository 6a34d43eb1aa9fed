"""What systemd hears of the daemon: a real notify socket, no broker, no model.

Goal: READY needs neither, and the watchdog is fed while nothing works.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.model  # the daemon starts an engine process

ROOT = Path(__file__).parent.parent


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    """Run a daemon without broker and engine under a notify socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        config = tmp_path / "edged.toml"
        config.write_text(
            f"[node]\nstate_dir = '{tmp_path}'\n[broker]\nport = 9\n[engine]\nbackend = 'sim'\n"
        )
        environment = os.environ | {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "400000",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "edged", "run", "--config", str(config)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield listener
        finally:
            process.terminate()
            process.wait(30)


def hear(listener: socket.socket, word: str) -> str:
    """Return the next datagram that holds `word`."""
    while True:
        heard = listener.recv(4096).decode()
        if word in heard:
            return heard


def test_it_is_ready_without_broker_and_model(notified: socket.socket) -> None:
    assert hear(notified, "READY=1")


def test_the_watchdog_is_fed_without_broker_and_model(notified: socket.socket) -> None:
    for _ in range(3):
        assert hear(notified, "WATCHDOG=1")


def test_the_status_line_names_the_broker_problem(notified: socket.socket) -> None:
    assert "127.0.0.1:9" in hear(notified, "127.0.0.1:9")


def test_the_status_line_tells_queue_and_estimated_watts(notified: socket.socket) -> None:
    line = hear(notified, "STATUS=")
    assert "queued" in line
    assert "W estimated" in line


def test_more_time_is_asked_for_while_the_spool_opens(notified: socket.socket) -> None:
    assert notified.recv(4096).startswith(b"EXTEND_TIMEOUT_USEC=")
    assert hear(notified, "READY=1")
