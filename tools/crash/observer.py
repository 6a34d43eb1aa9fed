"""The outside client: publishes prompts, hears replies, and keeps the books of both.

In:  a broker's address, prompts.     Out: `Books`, as replies come.
It asks as the contract tells a device to: with the same id and payload until it has an outcome. It
outlives broken connections and killed brokers, which may forget what they had acknowledged.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tools.crash.books import Asked, BookFile, Books, Entry, Heard, digest_of

BOARD = "edged/v1/dock/edge-1"
SESSION_EXPIRY_S = 86_400
KEEPALIVE_S = 5


class Observer:
    """A client with books; as a context manager it connects and leaves.

    Args:
        host, port: of the broker, without a fault proxy between.
        file: where the books are.
        client: its client id, and its name in topics.
    """

    def __init__(self, host: str, port: int, file: BookFile, client: str = "observer") -> None:
        self.client = client
        self._address = (host, port)
        self._file = file
        self._news = threading.Condition()
        self._is_subscribed = False
        self._paho = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client, protocol=paho.MQTTv5
        )
        self._paho.reconnect_delay_set(1, 1)
        self._paho.on_connect = self._on_connect
        self._paho.on_subscribe = self._on_subscribe
        self._paho.on_message = self._on_message

    def ask(self, id: str, payload: str) -> None:
        """Publish a prompt; paho sends it as soon as there is a connection."""
        self.enter(Asked(id, payload))
        self._paho.publish(f"{BOARD}/req/{self.client}/{id}", payload.encode(), qos=1)

    def ask_again(self, ids: Iterable[str]) -> None:
        """Publish known prompts again, byte by byte."""
        for id in ids:
            self.ask(id, self._file.books.asked[id])

    def enter(self, entry: Entry) -> None:
        """Write an entry into the books."""
        with self._news:
            self._file.enter(entry)
            self._news.notify_all()

    def look(self, at: Callable[[Books], Any]) -> Any:
        """Return what a function makes of the books, which do not change meanwhile."""
        with self._news:
            return at(self._file.books)

    def wait(self, is_true: Callable[[Books], bool], limit_s: float) -> bool:
        """Wait until the books say so; return whether they did within `limit_s`."""
        with self._news:
            return self._news.wait_for(lambda: is_true(self._file.books), limit_s)

    def __enter__(self) -> Self:
        """Connect, trying for as long as a session needs, and subscribe."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        self._paho.connect_async(
            *self._address, KEEPALIVE_S, clean_start=False, properties=properties
        )
        self._paho.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave; the session stays for the next time."""
        self._paho.disconnect()
        self._paho.loop_stop()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._paho.is_connected()

    def wait_until_subscribed(self, limit_s: float) -> bool:
        """Return whether a connection stands and is subscribed, within `limit_s`."""
        with self._news:
            return self._news.wait_for(lambda: self._is_subscribed, limit_s)

    def _on_connect(self, *_: object) -> None:
        self._paho.subscribe(f"edged/v1/dock/+/res/{self.client}/#", 1)

    def _on_subscribe(self, *_: object) -> None:
        with self._news:
            self._is_subscribed = True
            self._news.notify_all()

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        reply = json.loads(message.payload)
        digest = digest_of(bytes(message.payload))
        if reply["event"] != "chunk":
            self.enter(Heard(str(reply["id"]), str(reply["event"]), digest))


def pause(seconds: float) -> None:
    """Let so much time pass."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        time.sleep(left_s)
