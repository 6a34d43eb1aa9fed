"""How fast plain paho takes what waits for it: `python -m edged.bench.delivery.drained PORT COUNT`.

In:  lines on standard input: after the first line, the queue is there.     Out: `ready`, then the
messages per second, each acknowledged when its callback has returned and forgotten, and the
processor time of each.
A process of its own, as the daemon is one. The broker has no bound of messages under way to it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.bench.delivery.broker import HOST
from edged.errors import EngineUnusable

TOPIC = "edged/v1/dock/plain"
SESSION_S = 3600


@dataclass(frozen=True, slots=True)
class Taken:
    """How fast messages were taken, and the processor time of one, s, user and system."""

    per_s: float
    cpu_s: float


class PlainPaho:
    """The other end of the process, in the benchmark."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def taken(self) -> Taken:
        """Let it take what waits; return how fast."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return Taken(*map(float, self.said().split()))

    def said(self) -> str:
        """Return its next line.

        Raises:
            EngineUnusable: it ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise EngineUnusable("plain paho ended without a word")
        return line


@contextmanager
def plain_paho(port: int, count: int) -> Iterator[PlainPaho]:
    """Run the process until the block ends; its session is there when the block begins."""
    command = [sys.executable, "-m", "edged.bench.delivery.drained", str(port), str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        paho_process = PlainPaho(process)
        paho_process.said()
        yield paho_process
    finally:
        process.kill()
        process.communicate()


class _Taking:
    """Connections of one session; the second takes `count` messages."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._taken = 0
        self._first_s = self._last_s = 0.0

    def subscribe(self) -> None:
        """Begin the session and leave it."""
        client = self._connected()
        client.on_subscribe = lambda client, *_: _leave(client)
        client.subscribe(f"{TOPIC}/#", qos=1)
        client.loop_forever()

    def taken(self) -> Taken:
        """Take what waits; return how fast."""
        began_s = time.process_time()
        client = self._connected()
        client.on_message = self._on_message
        client.loop_forever()
        per_s = (self._count - 1) / (self._last_s - self._first_s)
        return Taken(per_s, (time.process_time() - began_s) / self._count)

    def _connected(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="plain-paho", protocol=paho.MQTTv5
        )
        kind = PacketTypes.CONNECT
        properties = Properties(kind)  # type: ignore[no-untyped-call] # paho annotates none
        properties.SessionExpiryInterval = SESSION_S
        # As many under way as MQTT allows: else mosquitto waits for an acknowledgement after 20.
        properties.ReceiveMaximum = 65_535
        client.connect(HOST, self._port, clean_start=False, properties=properties)
        return client

    def _on_message(self, client: paho.Client, _: Any, __: paho.MQTTMessage) -> None:
        self._last_s = time.perf_counter()
        self._first_s = self._first_s or self._last_s
        self._taken += 1
        if self._taken == self._count:
            client.disconnect()


def _leave(client: paho.Client) -> None:
    client.disconnect()


def _main(port: int, count: int) -> None:
    taking = _Taking(port, count)
    taking.subscribe()
    print("ready", flush=True)
    sys.stdin.readline()
    found = taking.taken()
    print(found.per_s, found.cpu_s, flush=True)


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
