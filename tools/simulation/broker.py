"""A model of an MQTT broker: sessions, retained messages, wills; no sockets.

In:  packets of clients, by `Peer`; messages of devices that need no connection.     Out: bytes to
each peer; what an observer should hear. The same tests hold mosquitto and this model to one
contract (tests/test_broker_contract.py). QoS 2, shared subscriptions, aliases and quotas of queues
are not modelled.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from edged.topics import matches
from tools.simulation import wire
from tools.simulation.wire import (
    EXPIRY,
    RECEIVE_MAXIMUM,
    SESSION_EXPIRY,
    Connect,
    Disconnect,
    Filter,
    Message,
    Ping,
    Puback,
    Publish,
    Reader,
    Subscribe,
    Unsubscribe,
    WireError,
)

# Source: mosquitto.conf(5), max_inflight_messages.
INFLIGHT_MAX = 20
PACKETS = 65_535


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Let it not come."""


class Timers(Protocol):
    """What a broker needs of an event loop."""

    def time(self) -> float:
        """Return seconds that only go forward."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer:
        """Call after so many seconds."""


class Watcher(Protocol):
    """Hears what happens at the broker, at the moment when it does."""

    def published(self, client: str, message: Message) -> None:
        """A client's message has arrived."""

    def acknowledged(self, client: str, message: Message) -> None:
        """A client has acknowledged a message that it was sent."""

    def jumped(self, client: str, message: Message) -> None:
        """It acknowledges this one before another that came before it. See MQTT 5, 4.6."""


class Nobody:
    """Hears nothing."""

    def published(self, client: str, message: Message) -> None:
        """Leave it."""

    def acknowledged(self, client: str, message: Message) -> None:
        """Leave it."""

    def jumped(self, client: str, message: Message) -> None:
        """Leave it."""


@dataclass(slots=True)
class _Waiting:
    """A message on its way to a client, and when it came; for its expiry."""

    message: Message
    at_s: float


@dataclass
class _Session:
    """What the broker keeps of a client, connected or not."""

    client: str
    filters: dict[str, Filter] = field(default_factory=dict)
    queue: deque[_Waiting] = field(default_factory=deque)
    inflight: dict[int, _Waiting] = field(default_factory=dict)
    peer: Peer | None = None
    is_lasting: bool = True
    last_packet: int = 0

    def fresh_packet(self) -> int:
        """Return a packet id that is not in use."""
        while True:
            self.last_packet = self.last_packet % PACKETS + 1
            if self.last_packet not in self.inflight:
                return self.last_packet


class Broker:
    """The broker.

    Attributes:
        retained: topic -> message.
        watcher: hears what clients say.
        withholds: whether the PUBACK of a message never comes.
        rejects: whether a message ends its client's connection.
    """

    def __init__(self, timers: Timers, watcher: Watcher | None = None) -> None:
        self.timers = timers
        self.watcher: Watcher = watcher or Nobody()
        self.withholds: Callable[[Message], bool] = lambda message: False
        self.rejects: Callable[[Message], bool] = lambda message: False
        self.retained: dict[str, _Waiting] = {}
        self._sessions: dict[str, _Session] = {}
        self._wills: dict[str, Timer] = {}
        self._names = itertools.count(1)
        self._inside: list[tuple[str, Callable[[Message], object]]] = []

    def listen(self, topic_filter: str, heard: Callable[[Message], object]) -> None:
        """Subscribe without a connection."""
        self._inside.append((topic_filter, heard))

    def forget(self) -> None:
        """Lose all sessions and retained messages, as a broker without a disk when it ends."""
        for timer in self._wills.values():
            timer.cancel()
        self._sessions, self.retained, self._wills = {}, {}, {}

    def publish(self, message: Message) -> bool:
        """Give a message to all that subscribe; return whether anybody does."""
        now_s, is_claimed = self.timers.time(), False
        if message.retain:
            if message.payload:
                self.retained[message.topic] = _Waiting(message, now_s)
            else:
                self.retained.pop(message.topic, None)
        for session in list(self._sessions.values()):
            for wanted in list(session.filters.values()):
                if matches(wanted.name, message.topic):
                    is_claimed = True
                    self._give(session, wanted, _Waiting(message, now_s))
        for name, heard in self._inside:
            if matches(name, message.topic):
                is_claimed = True
                heard(message)
        return is_claimed

    def _give(self, session: _Session, wanted: Filter, waiting: _Waiting) -> None:
        message = waiting.message
        qos = min(message.qos, wanted.qos)
        retain = message.retain and wanted.keeps_retain
        waiting = _Waiting(replace(message, qos=qos, retain=retain), waiting.at_s)
        if qos == 0:
            if session.peer is not None:
                session.peer.send(waiting, 0)
            return
        session.queue.append(waiting)
        self.pump(session)

    def pump(self, session: _Session) -> None:
        """Send what the client's window has room for."""
        peer = session.peer
        while peer is not None and session.queue and len(session.inflight) < peer.window:
            waiting = session.queue.popleft()
            if self._left_s(waiting) is None:
                continue
            packet = session.fresh_packet()
            session.inflight[packet] = waiting
            peer.send(waiting, packet)

    def _left_s(self, waiting: _Waiting) -> float | None:
        """Return the seconds until a message expires; None once it has."""
        expiry_s = waiting.message.field(EXPIRY)
        if expiry_s is None:
            return float("inf")
        left_s = float(waiting.at_s + expiry_s - self.timers.time())
        return left_s if left_s > 0 else None

    def aged(self, waiting: _Waiting) -> Message:
        """Return a message with what is left of its expiry. Source: MQTT 5, 3.3.2.3.3."""
        left_s = self._left_s(waiting)
        if left_s is None or left_s == float("inf"):
            return waiting.message
        kept = [item for item in waiting.message.fields if item[0] != EXPIRY]
        return replace(waiting.message, fields=(*kept, (EXPIRY, max(1, int(left_s)))))

    # What peers say.

    def connected(self, peer: Peer, connect: Connect) -> _Session:
        """Begin or go on with a session; whoever had it is let go."""
        client, fields = connect.client, wire.Fields()
        if not client:  # Source: MQTT 5, 3.1.3.1: who has no name is given one.
            client = f"unnamed-{next(self._names)}"
            fields = ((wire.ASSIGNED_CLIENT, client.encode()),)
        old = self._sessions.get(client)
        if old is not None and old.peer is not None:
            old.peer.shut()
        if (will := self._wills.pop(client, None)) is not None:
            will.cancel()
        is_present = old is not None and not connect.is_clean and old.is_lasting
        session = old if is_present and old is not None else _Session(client)
        self._sessions[client] = session
        session.peer = peer
        expiry_s = dict(connect.fields).get(SESSION_EXPIRY, 0)
        session.is_lasting = bool(expiry_s) if connect.version == wire.V5 else not connect.is_clean
        peer.say(wire.connack(connect.version, present=is_present, fields=fields))
        for packet, waiting in session.inflight.items():
            peer.send(waiting, packet, duplicate=True)
        self.pump(session)
        return session

    def subscribed(self, session: _Session, found: Subscribe) -> None:
        """Take filters; send what is retained under them, where that is wanted."""
        peer = session.peer
        assert peer is not None, "it speaks"
        codes = bytes(min(1, wanted.qos) for wanted in found.filters)
        peer.say(wire.suback(peer.version, found.packet, codes))
        for wanted in found.filters:
            is_new = wanted.name not in session.filters
            session.filters[wanted.name] = replace(wanted, qos=min(1, wanted.qos))
            if wanted.retain_handling == 2 or (wanted.retain_handling == 1 and not is_new):
                continue
            for topic, waiting in list(self.retained.items()):
                if matches(wanted.name, topic):
                    # Source: MQTT 5, 3.3.1.3: what is sent because of a subscription is marked.
                    self._give(session, replace(wanted, keeps_retain=True), waiting)

    def unsubscribed(self, session: _Session, filters: Iterable[str]) -> None:
        """Leave filters; one that was not there is nothing."""
        for name in filters:
            session.filters.pop(name, None)

    def acknowledged(self, session: _Session, packet: int) -> None:
        """Forget what a client has; an unknown packet id is nothing."""
        oldest = next(iter(session.inflight), packet)
        waiting = session.inflight.pop(packet, None)
        if waiting is not None:
            if packet != oldest:
                self.watcher.jumped(session.client, waiting.message)
            self.watcher.acknowledged(session.client, waiting.message)
        self.pump(session)

    def left(self, session: _Session, connect: Connect, *, is_polite: bool) -> None:
        """End a connection; its will is published unless the client said goodbye."""
        session.peer = None
        if not session.is_lasting:
            self._sessions.pop(session.client, None)
        will = connect.will
        if is_polite or will is None:
            return
        self._wills[session.client] = self.timers.call_later(
            connect.will_delay_s, lambda: self._publish_will(session.client, will)
        )

    def _publish_will(self, client: str, will: Message) -> None:
        self._wills.pop(client, None)
        self.watcher.published(client, will)
        self.publish(will)


class Peer:
    """One connection of a client.

    Attributes:
        window: so many messages may be under way to it.
        version: of MQTT.

    Args:
        broker: whose it is.
        say: sends bytes to the client.
        close: ends the connection.
    """

    def __init__(
        self, broker: Broker, say: Callable[[bytes], object], close: Callable[[], object]
    ) -> None:
        self.say = say
        self.window = INFLIGHT_MAX
        self.version = wire.V5
        self._broker = broker
        self._close = close
        self._reader = Reader()
        self._session: _Session | None = None
        self._connect: Connect | None = None
        self._timer: Timer | None = None
        self._heard_s = 0.0

    def received(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._heard_s = self._broker.timers.time()
        try:
            for packet in self._reader.read(data):
                self._take(packet)
        except (WireError, UnicodeDecodeError):
            self.shut()

    def lost(self) -> None:
        """The connection is gone."""
        self._end(is_polite=False)

    def shut(self) -> None:
        """End the connection from this side."""
        self._end(is_polite=False)
        self._close()

    def send(self, waiting: _Waiting, packet: int, *, duplicate: bool = False) -> None:
        """Send a message."""
        message = self._broker.aged(waiting)
        self.say(wire.publish(self.version, Publish(message, packet, duplicate)))

    def _take(self, packet: wire.Packet) -> None:
        if isinstance(packet, Connect):
            self._open(packet)
            return
        session = self._session
        if session is None or self._connect is None:
            raise WireError("the first packet is no CONNECT")
        match packet:
            case Publish(message) if self._broker.rejects(message):
                self.shut()
            case Publish(message, number):
                self._broker.watcher.published(session.client, message)
                is_claimed = self._broker.publish(message)
                if message.qos and not self._broker.withholds(message):
                    self.say(wire.puback(self.version, number, is_claimed=is_claimed))
            case Puback(number):
                self._broker.acknowledged(session, number)
            case Subscribe():
                self._broker.subscribed(session, packet)
            case Unsubscribe(number, filters):
                self._broker.unsubscribed(session, filters)
                self.say(wire.unsuback(self.version, number, len(filters)))
            case Ping():
                self.say(wire.pong())
            case Disconnect(reason):
                self._end(is_polite=reason == 0)
                self._close()

    def _open(self, connect: Connect) -> None:
        if self._session is not None:
            raise WireError("a second CONNECT")
        self._connect, self.version = connect, connect.version
        # mosquitto's own limit counts for those alone who name none.
        self.window = dict(connect.fields).get(RECEIVE_MAXIMUM, INFLIGHT_MAX)
        self._session = self._broker.connected(self, connect)
        if connect.keepalive_s:
            self._watch(1.5 * connect.keepalive_s)

    def _watch(self, silence_s: float) -> None:
        """End the connection of a client that is silent for too long. Source: MQTT 5, 3.1.2.10."""
        left_s = self._heard_s + silence_s - self._broker.timers.time()
        if left_s <= 0:
            self.shut()
            return
        self._timer = self._broker.timers.call_later(left_s, lambda: self._watch(silence_s))

    def _end(self, *, is_polite: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        session, self._session = self._session, None
        if session is not None and session.peer is self and self._connect is not None:
            self._broker.left(session, self._connect, is_polite=is_polite)
