"""The mosquitto that the other tests use keeps its promises."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.broker import Mosquitto

pytestmark = pytest.mark.broker


def retained(broker: Mosquitto, *options: str) -> str:
    """Return the one retained message of topic `t`."""
    return broker.run("mosquitto_sub", "-t", "t", "-C", "1", "-W", "10", *options).strip()


def test_a_retained_message_survives_a_kill_and_a_restart(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        port = broker.port
        broker.run("mosquitto_pub", "-q", "1", "-r", "-t", "t", "-m", "kept")
        wait_for_save(tmp_path / "broker")
        broker.kill()
        broker.start()
        assert (retained(broker), broker.port) == ("kept", port)


def test_a_wrong_password_is_refused_and_the_right_one_is_not(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", users={"dock": "right"}) as broker:
        message = ("-q", "1", "-r", "-t", "t", "-m", "in")
        broker.run("mosquitto_pub", "-u", "dock", "-P", "right", *message)
        assert retained(broker, "-u", "dock", "-P", "right") == "in"
        with pytest.raises(subprocess.CalledProcessError, match="mosquitto_pub"):
            broker.run("mosquitto_pub", "-u", "dock", "-P", "wrong", *message)


def test_a_stopped_broker_leaves_its_port_free(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "first") as first:
        first.stop()
        second = Mosquitto(tmp_path / "second")
        second.port = first.port
        with second:
            assert retained_nothing(second)


def retained_nothing(broker: Mosquitto) -> bool:
    """Return whether the broker is up and has no retained message at `t`."""
    command = broker.command("mosquitto_sub", "-t", "t", "-C", "1", "-W", "1")
    return subprocess.run(command, env=broker.environment, check=False).returncode == 27


def wait_for_save(directory: Path) -> None:
    """Wait until the broker's database holds the message."""
    database = directory / "mosquitto.db"
    deadline = 200
    while not (database.exists() and b"kept" in database.read_bytes()):
        deadline -= 1
        assert deadline, "the broker did not save its database"
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "60"], timeout=0.05, check=True)
