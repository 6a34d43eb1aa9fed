"""MQTT packets as a broker reads and writes them, versions 5 and 3.1.1.

In:  bytes of a client.     Out: frozen packets; and back. QoS 2 is not spoken.
Written from the specification and not from edged's side, so that the two check each other.
Source: MQTT 5, chapters 2 and 3; MQTT 3.1.1, chapter 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14

V5 = 5

# Property -> how it is written. Source: MQTT 5, table 2-4.
_BYTE = {0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A}
_TWO = {0x13, 0x21, 0x22, 0x23}
_FOUR = {0x02, 0x11, 0x18, 0x27}
_LENGTHS = {0x0B}
_PAIRS = {0x26}
EXPIRY, SESSION_EXPIRY, WILL_DELAY = 0x02, 0x11, 0x18
RECEIVE_MAXIMUM, ASSIGNED_CLIENT = 0x21, 0x12

# Property id -> value, in the order in which they came; a pair may stand more than once.
Fields = tuple[tuple[int, Any], ...]


class WireError(Exception):
    """What a client sent is no MQTT that this broker speaks."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is published."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    fields: Fields = ()

    def field(self, name: int) -> Any:
        """Return a property; None where it is not there."""
        return next((value for key, value in self.fields if key == name), None)


@dataclass(frozen=True, slots=True)
class Connect:
    """CONNECT."""

    client: str
    version: int
    is_clean: bool
    keepalive_s: int
    fields: Fields
    will: Message | None
    will_delay_s: int


@dataclass(frozen=True, slots=True)
class Publish:
    """PUBLISH."""

    message: Message
    packet: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Puback:
    """PUBACK."""

    packet: int


@dataclass(frozen=True, slots=True)
class Filter:
    """One topic filter of a SUBSCRIBE."""

    name: str
    qos: int
    keeps_retain: bool
    retain_handling: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE."""

    packet: int
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE."""

    packet: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """PINGREQ."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """DISCONNECT."""

    reason: int = 0


Packet = Connect | Publish | Puback | Subscribe | Unsubscribe | Ping | Disconnect


@dataclass
class Reader:
    """Gathers bytes until a packet is whole."""

    version: int = V5
    _held: bytearray = field(default_factory=bytearray)

    def read(self, data: bytes) -> Iterator[Packet]:
        """Take bytes; give the packets that are whole now."""
        self._held += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Packet | None:
        length, size = _length(self._held)
        if size == 0 or len(self._held) < 1 + size + length:
            return None
        head, body = self._held[0], bytes(self._held[1 + size : 1 + size + length])
        del self._held[: 1 + size + length]
        return self._packet(head, body)

    def _packet(self, head: int, body: bytes) -> Packet:
        cursor = _Cursor(body, self.version)
        match head >> 4:
            case 1:
                found = _connect(cursor)
                self.version = found.version
                return found
            case 3:
                return _publish(cursor, head)
            case 4:
                return Puback(cursor.number(2))
            case 8:
                return _subscribe(cursor)
            case 10:
                return _unsubscribe(cursor)
            case 12:
                return Ping()
            case 14:
                return Disconnect(cursor.number(1) if body else 0)
        raise WireError(f"packet type {head >> 4}")


class _Cursor:
    """Reads fields one after the other."""

    def __init__(self, body: bytes, version: int) -> None:
        self._body = body
        self._at = 0
        self.version = version

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, count: int) -> bytes:
        if self.left < count:
            raise WireError("a packet that is too short")
        self._at += count
        return self._body[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def data(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        return self.data().decode()

    def fields(self) -> Fields:
        if self.version != V5:
            return ()
        length, size = _length(b"\0" + self._body[self._at :])
        self._at += size
        end, found = self._at + length, []
        while self._at < end:
            found.append(self._field())
        return tuple(found)

    def _field(self) -> tuple[int, Any]:
        name = self.number(1)
        if name in _BYTE:
            return name, self.number(1)
        if name in _TWO:
            return name, self.number(2)
        if name in _FOUR:
            return name, self.number(4)
        if name in _LENGTHS:
            length, size = _length(b"\0" + self._body[self._at :])
            self._at += size
            return name, length
        if name in _PAIRS:
            return name, (self.text(), self.text())
        return name, self.data()


def _connect(cursor: _Cursor) -> Connect:
    if cursor.text() != "MQTT":
        raise WireError("another protocol")
    cursor.version = version = cursor.number(1)
    flags, keepalive_s = cursor.number(1), cursor.number(2)
    fields, client = cursor.fields(), cursor.text()
    will, delay_s = None, 0
    if flags & 0x04:
        will_fields = cursor.fields()
        delay_s = int(dict(will_fields).get(WILL_DELAY, 0))
        kept = tuple(item for item in will_fields if item[0] != WILL_DELAY)
        topic, payload = cursor.text(), cursor.data()
        will = Message(topic, payload, flags >> 3 & 3, bool(flags & 0x20), kept)
    return Connect(client, version, bool(flags & 2), keepalive_s, fields, will, delay_s)


def _publish(cursor: _Cursor, head: int) -> Publish:
    topic, qos = cursor.text(), head >> 1 & 3
    packet = cursor.number(2) if qos else 0
    fields = cursor.fields()
    message = Message(topic, cursor.take(cursor.left), qos, bool(head & 1), fields)
    return Publish(message, packet, bool(head & 8))


def _subscribe(cursor: _Cursor) -> Subscribe:
    packet, filters = cursor.number(2), []
    cursor.fields()
    while cursor.left:
        name, options = cursor.text(), cursor.number(1)
        filters.append(Filter(name, options & 3, bool(options & 8), options >> 4 & 3))
    return Subscribe(packet, tuple(filters))


def _unsubscribe(cursor: _Cursor) -> Unsubscribe:
    packet, filters = cursor.number(2), []
    cursor.fields()
    while cursor.left:
        filters.append(cursor.text())
    return Unsubscribe(packet, tuple(filters))


def connack(version: int, *, present: bool, fields: Fields = ()) -> bytes:
    """Return CONNACK of a connection that is accepted."""
    return _framed(CONNACK << 4, bytes([present, 0]) + _all(version, fields))


def suback(version: int, packet: int, codes: bytes) -> bytes:
    """Return SUBACK."""
    return _framed(SUBACK << 4, struct.pack(">H", packet) + _all(version) + codes)


def unsuback(version: int, packet: int, filters: int) -> bytes:
    """Return UNSUBACK; MQTT 5 has a code for each filter."""
    codes = bytes(filters) if version == V5 else b""
    return _framed(UNSUBACK << 4, struct.pack(">H", packet) + _all(version) + codes)


def puback(version: int, packet: int, *, is_claimed: bool) -> bytes:
    """Return PUBACK; `is_claimed` False: nobody subscribes (reason 0x10), MQTT 5 only."""
    reason = b"" if is_claimed or version != V5 else b"\x10"
    return _framed(PUBACK << 4, struct.pack(">H", packet) + reason)


def pong() -> bytes:
    """Return PINGRESP."""
    return _framed(PINGRESP << 4, b"")


def publish(version: int, found: Publish) -> bytes:
    """Return PUBLISH."""
    message = found.message
    head = PUBLISH << 4 | found.duplicate << 3 | message.qos << 1 | message.retain
    body = _text(message.topic) + (struct.pack(">H", found.packet) if message.qos else b"")
    return _framed(head, body + _all(version, message.fields) + message.payload)


def _written(name: int, value: Any) -> bytes:
    head = bytes([name])
    if name in _BYTE:
        return head + bytes([value])
    if name in _TWO:
        return head + struct.pack(">H", value)
    if name in _FOUR:
        return head + struct.pack(">I", value)
    if name in _LENGTHS:
        return head + _number(value)
    if name in _PAIRS:
        return head + _text(value[0]) + _text(value[1])
    data: bytes = value
    return head + struct.pack(">H", len(data)) + data


def _all(version: int, fields: Fields = ()) -> bytes:
    """Return properties with their length in front; nothing before MQTT 5."""
    written = b"".join(_written(name, value) for name, value in fields)
    return _number(len(written)) + written if version == V5 else b""


def _framed(head: int, body: bytes) -> bytes:
    return bytes([head]) + _number(len(body)) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _number(value: int) -> bytes:
    """Return a variable byte integer. Source: MQTT 5, 1.5.5."""
    digits = bytearray()
    while True:
        value, digit = divmod(value, 128)
        digits.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(digits)


def _length(data: bytes | bytearray) -> tuple[int, int]:
    """Return the variable byte integer behind the first byte, and its size; 0: not whole yet."""
    value = 0
    for size, digit in enumerate(data[1:5], start=1):
        value |= (digit & 0x7F) << 7 * (size - 1)
        if not digit & 0x80:
            return value, size
    return 0, 0
