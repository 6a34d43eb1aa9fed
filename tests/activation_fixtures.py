"""Daemons with the shipped model in which bundles of a test's own become active.

In: a directory of the test.  Out: a broker, a signer and a daemon that believes the signer, of one
test or of all in a file that leave it as it was; and what its commands and prompts give.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto
from tests.daemon_fixtures import Asker, Daemon, edged
from tests.store_fixtures import Signer, new_signer

MESSAGE = {"template": "dock-event", "input": "forklift hit pallet 48213 at dock 6"}
STRICT = "[evaluation]\nexact_match_min = 1.0\n"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def signer() -> Signer:
    return new_signer()


@contextmanager
def serving(folder: Path, broker: Mosquitto, signer: Signer) -> Iterator[Daemon]:
    """Run a daemon with the shipped model that believes one signer."""
    (folder / "signer.pem").write_bytes(signer.pem)
    sections: dict[str, dict[str, Any]] = {
        "store": {"keys": [str(folder / "signer.pem")]},
        "admin": {"mqtt": True},
        "engine": {"backend": "llama"},
    }
    with Daemon(folder / "board", broker, sections=sections) as daemon:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        yield daemon


@pytest.fixture
def board(tmp_path: Path, broker: Mosquitto, signer: Signer) -> Iterator[Daemon]:
    """A daemon of a test's own."""
    with serving(tmp_path, broker, signer) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def lasting_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(
    tmp_path_factory: pytest.TempPathFactory, lasting_broker: Mosquitto, signer: Signer
) -> Iterator[Daemon]:
    """A daemon of all tests that leave it with what is shipped; its slots keep what they tried."""
    with serving(tmp_path_factory.mktemp("lasting"), lasting_broker, signer) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def _commands_look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.store.commands.LOOK_S", 0.05)


def done(daemon: Daemon, *words: str) -> str:
    """Run a command that has to succeed; return what it printed."""
    ran = edged(daemon, *words)
    assert ran.code == 0, ran.stderr
    return ran.stdout


def answered(broker: Mosquitto, prompt: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome of a prompt that no board knows."""
    id = uuid.uuid4().hex
    with Asker(broker) as device:
        device.listen()
        device.ask(prompt, id)
        return device.outcome(id)
