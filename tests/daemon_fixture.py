"""A real `edged run` of a test's own, and what a device says to it and hears from it.

In: a directory of the test and a broker.  Out: a daemon process that can be stopped, killed and
started again on the same state, its engine's process id, and a device that collects replies.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.broker import Mosquitto
from tests.engine_fixtures import write_config
from tests.mqtt_fixtures import Device

ROOT = Path(__file__).parent.parent
DEADLINE_S = 60.0
BOARD = "edged/v1/dock/edge-1"
OUTCOMES = {"done", "error", "expired", "cancelled", "superseded"}


class Address(Protocol):
    """Where a board finds its broker, or the proxy before it."""

    @property
    def host(self) -> str:
        """The address that it listens on."""
        ...

    port: int


class ProxyProcess:
    """`tools.fault_proxy` before a broker; as a context manager it runs and ends."""

    host = "127.0.0.1"

    def __init__(self, broker: Mosquitto) -> None:
        command = [sys.executable, "-m", "tools.fault_proxy", "0", f"{broker.host}:{broker.port}"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._line().rpartition(" ")[2])

    def order(self, line: str) -> None:
        """Give it an order, and wait until it is carried out."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._line() == "ok"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class Daemon:
    """An `edged run` with its engine; as a context manager it starts and ends both.

    Args:
        directory: for configuration, state and log.
        broker: where it connects.
        backend: `sim` for speed, `llama` for the shipped model.
        sections: further tables of the configuration.
        journal: where a journald listens for it; None: its log is text.
    """

    def __init__(
        self,
        directory: Path,
        broker: Address,
        *,
        backend: str = "sim",
        sections: dict[str, dict[str, Any]] | None = None,
        journal: Path | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.state_dir = directory
        self.log = directory / "edged.log"
        tables: dict[str, dict[str, Any]] = {
            "broker": {"host": broker.host, "port": broker.port, "reconnect_s_max": 0.5},
            "engine": {"backend": backend},
        }
        for name, keys in (sections or {}).items():
            tables[name] = tables.get(name, {}) | keys
        self.config = write_config(directory, **tables)
        self._journal = journal
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon."""
        environment = {key: os.environ[key] for key in os.environ if key != "NOTIFY_SOCKET"}
        command = [sys.executable, "-m", "edged", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            if self._journal is not None:
                stderr = os.fstat(log.fileno())
                environment["JOURNAL_STREAM"] = f"{stderr.st_dev}:{stderr.st_ino}"
                command += ["--journal-socket", str(self._journal)]
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """End the daemon as systemd would; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        self.process = None
        return code

    def kill(self) -> None:
        """End the daemon as a crash would; its engine lives on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process = None

    @property
    def engine_pid(self) -> int | None:
        """The engine's process id, from its lock file; None when none runs."""
        try:
            pid = int((self.state_dir / "engine.lock").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if b"engine" in command else None

    def kill_engine(self) -> bool:
        """End the engine as a crash would; return whether there was one."""
        pid = self.engine_pid
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def wait_for_log(self, words: str) -> None:
        """Wait until the daemon's log holds `words`."""
        wait_until(lambda: words in self.log.read_text(), f"{words!r} in {self.log}")

    def __enter__(self) -> Daemon:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End daemon and engine, whatever happened."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(DEADLINE_S)
        self.kill_engine()


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


@pytest.fixture
def device(broker: Mosquitto, daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[Asker]:
    """A device that listens, for the module's own broker and daemon."""
    with Asker(broker, client_name(request)) as connected:
        connected.listen()
        yield connected


def long_answer(chars: int) -> dict[str, Any]:
    """Return a schema whose answer takes the simulated engine a while: about 2 ms a character."""
    return {"type": "string", "minLength": chars, "maxLength": chars}


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    """Poll until a condition holds.

    Raises:
        AssertionError: it did not within the deadline.
    """
    deadline_s = time.monotonic() + DEADLINE_S
    pause = queue.Queue[None]()
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited {DEADLINE_S:.0f} s for {what}"
        try:
            pause.get(timeout=0.02)
        except queue.Empty:
            continue
