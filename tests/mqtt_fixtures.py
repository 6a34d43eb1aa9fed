"""What the tests of `edged.mqtt` meet a session with: devices, a scripted broker, a lone board.

In: a broker.  Out: what a device hears, what a broker hears, and sessions that end with the test.
A `Device` is a plain paho client with a thread of its own; a `ScriptedBroker` says what no real
broker would.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged import config
from edged.contract import Outbound
from edged.mqtt import ConnectionState, Delivery, Session, Will
from tests.broker import Mosquitto

DEADLINE_S = 30.0
WILL = Will("edged/v1/s/n/availability", b"offline")
FILTERS = ("req/#",)
CLIENT_ID = "s/n"

# Source: MQTT 5, 3.2 (CONNACK, success, no properties) and 3.14 (DISCONNECT); MQTT 3.1.1, 3.2.
CONNACK = bytes([0x20, 3, 0, 0, 0])
TAKEN_OVER = bytes([0xE0, 2, 0x8E, 0])
OLD_CONNACK = bytes([0x20, 2, 0, 0])
OLD_REFUSAL = bytes([0x20, 2, 0, 1])
FLOOD = 2000
# The broker would drop what comes after 1,000 queued messages, and save itself at each change.
QUICK = ["max_queued_messages 0", "autosave_on_changes false"]
FLOOD_LINES = [b"%d" % number for number in range(FLOOD)]


class Listening(Protocol):
    """A broker, as its clients know it."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


def finish(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario to its end, at most `DEADLINE_S`."""

    async def within_the_deadline() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await scenario

    asyncio.run(within_the_deadline())


def broker_config(broker: Listening, **keys: Any) -> config.Broker:
    """Return the configuration that names `broker`; it reconnects quickly."""
    return parse(host=broker.host, port=broker.port, **keys)


def parse(**keys: Any) -> config.Broker:
    """Return a configuration that reconnects quickly."""
    return config.Broker.model_validate({"reconnect_s_max": 0.5, **keys})


@contextlib.asynccontextmanager
async def board(
    broker: config.Broker, *, filters: tuple[str, ...] = FILTERS, will: Will = WILL
) -> AsyncIterator[Session]:
    """Run a session as long as the block, which it leaves politely."""
    session = Session(broker, client_id=CLIENT_ID, filters=filters, will=will)
    task = asyncio.create_task(session.run())
    try:
        yield session
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(session: Session, is_true: Callable[[ConnectionState], bool]) -> ConnectionState:
    """Wait for a state of the session."""
    while not is_true(session.state):
        await session.changed()
    return session.state


async def take(session: Session, count: int) -> list[Delivery]:
    """Wait for `count` prompts and acknowledge none."""
    taken: list[Delivery] = []
    while len(taken) < count:
        taken += await session.deliveries()
    return taken


def payloads(deliveries: Sequence[Delivery]) -> list[bytes]:
    """Return the payloads in order."""
    return [delivery.inbound.payload for delivery in deliveries]


def to(topic: str, payload: bytes = b"x", **fields: Any) -> Outbound:
    """Return a message of ours."""
    return Outbound(topic, payload, **fields)


def publish_properties() -> Properties:
    """Return empty properties for a device's PUBLISH."""
    return Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho annotates none


def properties_of(message: paho.MQTTMessage) -> dict[str, Any]:
    """Return the properties that a message came with, Correlation Data as hexadecimal digits."""
    assert message.properties is not None
    table: dict[str, Any] = message.properties.json()  # type: ignore[no-untyped-call] # see above
    return table


class Device:
    """A device with MQTT 5 or 3.1.1; as a context manager it connects and leaves."""

    def __init__(
        self, broker: Listening, protocol: int = paho.MQTTv5, *, client_id: str = ""
    ) -> None:
        self._heard: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self._broker = broker
        self._protocol = protocol
        self._subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion(protocol)
        )
        self._client.on_message = lambda _, __, message: self._heard.put(message)
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def __enter__(self) -> Self:
        """Connect."""
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()
        # Its way back to this object would leave it to the collector, which takes its sockets first
        # now and then; paho closes them where the client itself goes first.
        self._client.on_message = self._client.on_subscribe = None

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1, so that retained messages keep their flag."""
        options = SubscribeOptions(qos=1, retainAsPublished=True)
        if self._protocol == paho.MQTTv5:
            self._client.subscribe(topic_filter, options=options)
        else:
            self._client.subscribe(topic_filter, 1)
        assert self._subscribed.wait(DEADLINE_S)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Publish and wait for the PUBACK."""
        sent = self._client.publish(topic, payload, qos, retain, properties)
        sent.wait_for_publish(DEADLINE_S)
        assert sent.is_published()

    async def hear(self) -> paho.MQTTMessage:
        """Wait for the next message."""
        return await asyncio.to_thread(self._heard.get, timeout=DEADLINE_S)


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ScriptedBroker:
    """A broker that does what its script for this connection says, then only listens.

    Args:
        scripts: one per connection; the last also serves all further ones.
        tls: speak TLS, as this says.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.connects: list[bytes] = []
        self.received = bytearray()
        self._has_received = asyncio.Event()
        self._scripts = scripts
        self._tls = tls
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ScriptedBroker:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()

    def say(self, packet: bytes) -> None:
        """Send a packet on the newest connection."""
        assert self._writer is not None
        self._writer.write(packet)

    async def hears(self, part: bytes) -> None:
        """Wait until `part` was received, on any connection."""
        while part not in self.received:
            self._has_received.clear()
            await self._has_received.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(len(self.connects), len(self._scripts) - 1)]
        self.connects.append(await read_packet(reader))
        self._writer = writer
        await script(reader, writer)
        while rest := await reader.read(65_536):
            self.received += rest
            self._has_received.set()
        writer.close()


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """Return the next packet; the scripts meet none over 16,383 bytes."""
    head = await reader.readexactly(2)
    length = head[1]
    if length & 0x80:
        head += await reader.readexactly(1)
        length = (length & 0x7F) | head[2] << 7
    return head + await reader.readexactly(length)


def says(*packets: bytes) -> Script:
    """Return a script that sends packets, at once, and then listens."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(packets))

    return script


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection without a word."""
    writer.close()


def make_certificate(path: Path) -> None:
    """Write a certificate for loopback that is its own authority, and its key beside it."""
    subject = ["-subj", "/CN=edged test", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", f"{path}.key", "-out", str(path)]
    command = ["openssl", "req", "-x509", "-days", "2", *key, *subject, *files]
    subprocess.run(command, check=True, capture_output=True)


LONE_BOARD = """
import asyncio, sys
from edged.config import Broker
from edged.mqtt import Session, Will

async def main(port, delay_s, client_id):
    will = Will("edged/v1/s/n/availability", b"offline", int(delay_s))
    session = Session(
        Broker(port=int(port)), client_id=client_id, filters=("req/#",), will=will
    )
    task = asyncio.create_task(session.run())
    await session.connected()
    print("connected", flush=True)
    while True:
        for delivery in await session.deliveries():
            print(delivery.inbound.payload.decode(), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


class LoneBoard:
    """A session in a process of its own, which prints what it gets and acknowledges nothing."""

    def __init__(
        self, broker: Listening, *, will_delay_s: int = 10, client_id: str = CLIENT_ID
    ) -> None:
        root = Path(__file__).parent.parent
        command = [sys.executable, "-c", LONE_BOARD, str(broker.port), str(will_delay_s), client_id]
        self._process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        """Wait for the next line it prints: `connected`, then payloads."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> LoneBoard:
        """Wait until it is connected."""
        assert self.line() == "connected"
        return self

    def __exit__(self, *_: object) -> None:
        """Make sure that it is gone."""
        self.kill()


def flood(broker: Mosquitto, *, qos: int) -> subprocess.Popen[bytes]:
    """Publish `FLOOD` prompts from another process."""
    command = broker.command("mosquitto_pub", "-t", "req/1", "-l", "-q", str(qos))
    publisher = subprocess.Popen(command, env=broker.environment, stdin=subprocess.PIPE)
    assert publisher.stdin is not None
    publisher.stdin.write(b"\n".join(FLOOD_LINES) + b"\n")
    publisher.stdin.close()
    return publisher
