"""The devices of the benchmark: plain paho clients, and what they ask.

In:  a broker's port.     Out: prompts published at QoS 1; replies, with the time they came.
"""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged.bench.delivery.broker import HOST
from edged.errors import EngineUnusable
from edged.mqtt.dial import send_at_once

REPLY_S_MAX = 300.0
OUTCOMES = ("done", "error", "expired", "cancelled", "superseded")
SAID = "forklift hit pallet 48213 at dock 6, 12 cartons crushed"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as a device publishes it."""

    topic: str
    payload: bytes
    properties: Properties | None = None
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A message from a board, and when it came, monotonic s."""

    topic: str
    payload: bytes
    is_retained: bool
    at_s: float
    correlation: bytes | None = None

    @property
    def reply(self) -> dict[str, Any]:
        """The reply in it."""
        reply: dict[str, Any] = json.loads(self.payload)
        return reply


def prompts(board_topic: str, client: str, count: int, **keys: Any) -> list[Prompt]:
    """Return prompts for a board, each with an id of its own; `keys` are further ones."""
    table = {"template": "dock-event", "input": SAID, **keys}
    # A key that is None is left out.
    payload = json.dumps({key: one for key, one in table.items() if one is not None}).encode()
    names = (f"{board_topic}/req/{client}/p-{number:06d}" for number in range(count))
    return [Prompt(name, payload) for name in names]


class Device:
    """A client; as a context manager it connects and leaves.

    Args:
        port: of the broker.
        client: its id in the boards' topics.
    """

    def __init__(self, port: int, client: str = "bench") -> None:
        self.client = client
        self._port = port
        self._heard: queue.Queue[Heard] = queue.Queue()
        self._subscribed: queue.Queue[int] = queue.Queue()
        self._paho = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        # Else a prompt waits 40 ms for the ACK of the PUBACK before it.
        self._paho.on_socket_open = lambda _, __, link: send_at_once(link)
        self._paho.on_message = self._on_message
        self._paho.on_subscribe = lambda _, __, number, *___: self._subscribed.put(number)

    def listen(self, *filters: str) -> None:
        """Subscribe, and return when it stands."""
        self._paho.subscribe([(name, SubscribeOptions(qos=1)) for name in filters])
        self._subscribed.get(timeout=REPLY_S_MAX)

    def publish(self, asked: Iterable[Prompt]) -> None:
        """Publish prompts, and return when the broker has them all."""
        for one in [self.send(item) for item in asked]:
            one.wait_for_publish(REPLY_S_MAX)

    def send(self, asked: Prompt) -> paho.MQTTMessageInfo:
        """Publish a prompt, and return at once."""
        return self._paho.publish(
            asked.topic, asked.payload, qos=1, retain=asked.retain, properties=asked.properties
        )

    @staticmethod
    def now_s() -> float:
        """Return the time, as `Heard.at_s` tells it."""
        return time.monotonic()

    def next(self, is_wanted: Callable[[Heard], bool]) -> Heard:
        """Return the next message that is wanted; others are forgotten.

        Raises:
            EngineUnusable: none came in time.
        """
        deadline_s = self.now_s() + REPLY_S_MAX
        while (heard := self.heard(deadline_s)) is not None:
            if is_wanted(heard):
                return heard
        raise EngineUnusable(f"no reply in {REPLY_S_MAX:.0f} s")

    def heard(self, until_s: float) -> Heard | None:
        """Return the next message; None if none has come by then."""
        try:
            return self._heard.get(timeout=max(0.0, until_s - self.now_s()))
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        """Connect."""
        self._paho.connect(HOST, self._port)
        self._paho.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self._paho.disconnect()
        self._paho.loop_stop()

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        now_s, payload = time.monotonic(), bytes(message.payload)
        correlation = getattr(message.properties, "CorrelationData", None)
        self._heard.put(Heard(message.topic, payload, message.retain, now_s, correlation))


def is_event(*events: str) -> Callable[[Heard], bool]:
    """Return what tells a reply with one of these events."""
    return lambda heard: "/res/" in heard.topic and heard.reply["event"] in events
