"""A real `edged run` of a test's own, and what people and devices say to it and hear from it.

In: a directory of the test and a broker.  Out: the processes of `tools.board_processes`, what
commands do, a device that collects replies, and the broker and board of a module's tests.
"""

from __future__ import annotations

import io
import json
import queue
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged import config
from edged.__main__ import main
from edged.admin.client import asked
from edged.admin.wire import StatusAsk
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.mqtt_fixtures import Device
from tools.board_processes import DEADLINE_S
from tools.board_processes import Daemon as Daemon
from tools.board_processes import ProxyProcess as ProxyProcess
from tools.board_processes import wait_until as wait_until
from tools.broker_programs import ROOT as ROOT

BOARD = "edged/v1/dock/edge-1"
# A prompt for a template of the shipped model.
SHIPPED = {"template": "dock-event", "input": "truck at door 4"}
OUTCOMES = {"done", "error", "expired", "cancelled", "superseded"}


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    code: int
    stdout: str
    stderr: str


def edged(daemon: Daemon, *words: str) -> Ran:
    """Run a command as a person at the board does, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*words, "--config", str(daemon.config)])
    return Ran(code, out.getvalue(), err.getvalue())


def state_of(daemon: Daemon) -> dict[str, Any]:
    """Return what a board says of itself now; its topic `state` is up to 10 s behind."""
    settings = config.load(daemon.config)
    wait_until(settings.admin_socket.exists, "the daemon's socket")
    told = asked(settings, StatusAsk()).state
    assert told is not None
    return told


class Asker(Device):
    """A device that keeps every reply it hears; client id `dev` unless told."""

    def __init__(self, broker: Mosquitto, client: str = "dev", protocol: int = paho.MQTTv5) -> None:
        super().__init__(broker, protocol)
        self.client = client
        self.replies: list[tuple[str, dict[str, Any], paho.MQTTMessage]] = []

    def listen(self) -> None:
        """Subscribe to the replies of any board of the site."""
        self.subscribe(f"edged/v1/dock/+/res/{self.client}/#")

    def ask(self, payload: object, id: str | None = None, **properties: Any) -> None:
        """Publish a prompt: bytes and text as they are, anything else as JSON."""
        topic = f"{BOARD}/req/{self.client}" + (f"/{id}" if id is not None else "")
        self.send(topic, payload, **properties)

    def cancel(self, id: str) -> None:
        """Publish a cancel."""
        self.send(f"{BOARD}/cancel/{self.client}/{id}", b"")

    def send(self, topic: str, payload: object, **properties: Any) -> None:
        """Publish with MQTT 5 properties by paho's names."""
        if isinstance(payload, str):
            payload = payload.encode()
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        table = Properties(PacketTypes.PUBLISH) if properties else None  # type: ignore[no-untyped-call] # paho annotates none
        for name, value in properties.items():
            setattr(table, name, value)
        self.publish(topic, body, properties=table)

    def next(self, where: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """Return the next reply, or the next for which `where` holds, after those heard before."""
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            message = self._heard.get(timeout=max(0.01, deadline_s - time.monotonic()))
            reply: dict[str, Any] = json.loads(message.payload)
            self.replies.append((message.topic, reply, message))
            if where is None or where(reply):
                return reply

    def outcome(self, id: str) -> dict[str, Any]:
        """Return the outcome of an id."""
        return self.next(lambda reply: reply["id"] == id and reply["event"] in OUTCOMES)

    def drain(self) -> None:
        """Take what has been heard already."""
        while True:
            try:
                message = self._heard.get_nowait()
            except queue.Empty:
                return
            self.replies.append((message.topic, json.loads(message.payload), message))

    def events(self, id: str) -> list[str]:
        """Return the events heard of an id, in order."""
        return [reply["event"] for _, reply, _ in self.replies if reply["id"] == id]

    def count(self) -> Counter[str]:
        """Return how often each event was heard."""
        return Counter(reply["event"] for _, reply, _ in self.replies)


def client_name(request: pytest.FixtureRequest) -> str:
    """Return a client id that belongs to the running test alone."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", request.node.name)[-64:]


@pytest.fixture(scope="module")
def daemon(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A board for all tests of a module, with a client and an input of its own configuration."""
    sections: dict[str, dict[str, Any]] = {
        "model": {"context_tokens": 8192, "sequences": 4},
        "clients.scanner": {"default_template": "label-read", "response_topics": ["plc/+/answer"]},
        "requests": {"prompt_bytes_max": 4096},
    }
    place = tmp_path_factory.mktemp("daemon")
    with Daemon(place, broker, sections=sections) as running:
        with running.config.open("a") as file:
            file.write(
                '[[input]]\ntopic = "dock/+/text"\ntemplate = "dock-event"\n'
                'input = { message = "msg" }\nreply_topic = "dock/{1}/answer"\n'
            )
        running.stop()
        running.start()
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


@pytest.fixture
def device(broker: Mosquitto, daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[Asker]:
    """A device that listens, for the module's own broker and daemon."""
    with Asker(broker, client_name(request)) as connected:
        connected.listen()
        yield connected


def named(state_dir: Path, name: str) -> dict[str, dict[str, Any]]:
    """Return the tables of a board of its own on the shared broker."""
    return {"node": {"state_dir": str(state_dir), "name": name}}


def long_answer(chars: int) -> dict[str, Any]:
    """Return a schema whose answer takes the simulated engine a while: about 2 ms a character."""
    return {"type": "string", "minLength": chars, "maxLength": chars}
