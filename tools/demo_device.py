"""A device of the demo: publishes messages to edged as plain MQTT and writes the replies down.

In: stdin, one JSON object per line: {"template", "input"}.
Out: stdout, one JSON object per line and message: {"seconds", "reply"}, or {"error"}; at the end
{"power"}: what the board's `state` says of it, or null.
Shares no code with edged: it knows the topics and keys of docs/contract.md, and paho-mqtt.
On MQTT 5 it uses Response Topic, Correlation Data and Message Expiry; on 3.1.1 an id of its own
in topic and JSON. Two threads: paho's, and this one, which waits for each answer in turn.
"""

from __future__ import annotations

import argparse
import json
import queue
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

TTL_S = 60
ONLINE_S = 120.0


class DeviceError(Exception):
    """The device gave up; the text says on what."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where the device's broker and board are, and who the device is."""

    host: str
    port: int
    mqtt: str  # "5" or "3.1.1"
    root: str  # edged/v1/{site}
    node: str
    client: str

    @property
    def board(self) -> str:
        """The common front of the board's topics."""
        return f"{self.root}/{self.node}"


def main() -> int:
    """Send every message of stdin; 1 and a sentence when the board cannot be reached."""
    device = Device(parse_arguments())
    try:
        device.connect()
        for row in read_rows(sys.stdin):
            print(json.dumps(device.ask(row)), flush=True)
        print(json.dumps({"power": device.power()}), flush=True)
    except DeviceError as error:
        print(f"device: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        device.close()
    return 0


def parse_arguments() -> Link:
    """Return the link that the command line describes."""
    parser = argparse.ArgumentParser(description="Publishes rows of stdin to edged as a device.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--mqtt", choices=("5", "3.1.1"), default="5")
    parser.add_argument("--root", default="edged/v1/dock")
    parser.add_argument("--node", default="edge-1")
    parser.add_argument("--client", default="scanner-7")
    return Link(**vars(parser.parse_args()))


def read_rows(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    """Return the messages, one JSON object per line."""
    return (json.loads(line) for line in lines if line.strip())


class Device:
    """One MQTT connection that asks one thing at a time."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._serial = 0
        self._state: dict[str, Any] = {}
        self._inbox: queue.SimpleQueue[MQTTMessage] = queue.SimpleQueue()
        version = MQTTv5 if link.mqtt == "5" else MQTTv311
        self._mqtt = Client(CallbackAPIVersion.VERSION2, client_id=link.client, protocol=version)
        self._mqtt.on_socket_open = send_at_once
        self._mqtt.on_connect = self._subscribe
        self._mqtt.on_message = self._hear

    def connect(self) -> None:
        """Connect, subscribe, and wait until the board says that it is online.

        Raises:
            DeviceError: no broker, or no board within two minutes.
        """
        try:
            self._mqtt.connect(self.link.host, self.link.port)
        except OSError as error:
            raise DeviceError(f"no broker at {self.link.host}:{self.link.port}: {error}") from error
        self._mqtt.loop_start()
        deadline_s = time.monotonic() + ONLINE_S
        topic = f"{self.link.board}/availability"
        while (message := self._next(deadline_s)) is not None:
            if message.topic == topic and message.payload == b"online":
                return
        raise DeviceError(f"{topic} did not become online in {ONLINE_S:.0f} s")

    def ask(self, row: dict[str, Any]) -> dict[str, Any]:
        """Publish one message, wait for its one reply, and return it with its seconds."""
        self._serial += 1
        # The start time keeps ids unique over runs: the board keeps answered ids for days.
        name = f"{int(time.time())}-{self._serial}"
        began_s = time.monotonic()
        self._publish(name, row)
        deadline_s = began_s + TTL_S + 5
        while (message := self._next(deadline_s)) is not None:
            if self._is_answer(message, name):
                return {"seconds": time.monotonic() - began_s, "reply": json.loads(message.payload)}
        return {"error": f"no answer in {TTL_S + 5} s"}

    def power(self) -> dict[str, Any] | None:
        """Return what the board last said of its watts and its budget."""
        return self._state.get("power")

    def close(self) -> None:
        """Disconnect."""
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def _publish(self, name: str, row: dict[str, Any]) -> None:
        request = {"template": row["template"], "input": row["input"]}
        topic = f"{self.link.board}/req/{self.link.client}"
        if self.link.mqtt == "5":
            # paho's Properties carries no annotations.
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ResponseTopic = f"{self.link.board}/res/{self.link.client}/answers"
            properties.CorrelationData = name.encode()
            properties.MessageExpiryInterval = TTL_S
            self._mqtt.publish(topic, json.dumps(request), qos=1, properties=properties)
        else:
            request |= {"id": name, "ttl_s": TTL_S}
            self._mqtt.publish(f"{topic}/{name}", json.dumps(request), qos=1)

    def _hear(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        if message.topic == f"{self.link.board}/state":
            self._state = json.loads(message.payload)
        else:
            self._inbox.put(message)

    def _is_answer(self, message: MQTTMessage, name: str) -> bool:
        if "/res/" not in message.topic:
            return False
        if self.link.mqtt == "5":
            return getattr(message.properties, "CorrelationData", None) == name.encode()
        return message.topic.endswith(f"/{name}")

    def _next(self, deadline_s: float) -> MQTTMessage | None:
        """Return the next message, or None when the deadline passes first."""
        try:
            return self._inbox.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            return None

    def _subscribe(
        self,
        client: Client,
        userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        # On every connect: a broker that was restarted has forgotten a clean session.
        replies = f"{self.link.root}/+/res/{self.link.client}/#"
        told = (f"{self.link.board}/state", f"{self.link.board}/availability")
        client.subscribe([(replies, 1), *((topic, 1) for topic in told)])


def send_at_once(client: Client, userdata: object, link: Any) -> None:
    """Switch off Nagle's algorithm, which held each message back for 40 ms, measured."""
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


if __name__ == "__main__":
    sys.exit(main())
