"""A PUBLISH from the broker, read from its bytes.

In:  a packet behind its fixed header.     Out: `Arrived`; None where paho is to read it.
Pure. paho makes four tables of names for each packet's properties, and looks through all of them:
half of what a prompt costs it. And it ends the connection over a U+FEFF in a property, which MQTT
allows: such a prompt, never acknowledged, would come again at each reconnect (measured, paho-mqtt
2.2.0). So all that a broker may send is read here; what is malformed is left to paho.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edged.contract import Inbound
from edged.mqtt.packets import Protocol

# Source: MQTT 5, 2.2.2.2: identifier -> what `Inbound` calls it, and how the value is written.
_PROPERTIES = {
    2: ("expiry_s", "number"),
    3: ("content_type", "text"),
    8: ("response_topic", "text"),
    9: ("correlation", "sized"),
}
_PAYLOAD_FORMAT, _SUBSCRIPTION_IDENTIFIER, _USER_PROPERTY = 1, 11, 38
# Source: MQTT 5, 1.5.5: the most bytes of a variable byte integer.
_LENGTH_BYTES_MAX = 4
# Source: MQTT 5, 2.1.2: the kind of a packet, in the upper half of its first byte.
_PUBLISH = 0x30
# Source: MQTT 5, 1.5.4-2; Python's UTF-8 has no surrogates.
_FORBIDDEN = "\0"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message, and what its acknowledgement has to name; `packet` is 0 at QoS 0."""

    inbound: Inbound
    packet: int
    qos: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A packet that came whole: what is behind its fixed header, and its bytes in all."""

    body: bytes
    size_bytes: int


def first(unread: bytes) -> Whole | None:
    """Return the first packet if it is a PUBLISH; None also for a piece of one, or over 16 KiB."""
    if len(unread) < 3 or unread[0] & 0xF0 != _PUBLISH:
        return None
    length, place = unread[1], 2
    if length > 127:
        length, place = length - 128 + 128 * unread[2], 3
        if unread[2] > 127:
            return None
    end = place + length
    return Whole(unread[place:end], end) if end <= len(unread) else None


def read(command: int, body: bytes, protocol: Protocol) -> Arrived | None:
    """Return the message in a packet, unless it is malformed.

    Args:
        command: the first byte of the fixed header.
        body: all behind the fixed header.
        protocol: of the connection.
    """
    qos, reader = command >> 1 & 3, _Reader(body)
    try:
        topic = reader.sized().decode()
        packet = reader.number(2) if qos else 0
        properties = reader.properties() if protocol == "5" else {}
    except ValueError:
        return None
    if not topic or qos > 1:
        return None
    inbound = Inbound(
        topic=topic,
        payload=reader.rest(),
        retained=bool(command & 1),
        duplicate=bool(command & 8),
        packet=packet,
        **properties,
    )
    return Arrived(inbound, packet, qos)


class _Reader:
    """Reads values one behind the other; one that is not as it should be is a ValueError."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def properties(self) -> dict[str, Any]:
        """Return the properties, as `Inbound` calls them."""
        end = self._length() + self._at
        found: dict[str, Any] = {}
        pairs: list[tuple[str, str]] = []
        while self._at < end:
            kind = self.number(1)
            if kind == _USER_PROPERTY:
                pairs.append((self.text(), self.text()))
                continue
            if kind == _SUBSCRIPTION_IDENTIFIER:  # one for each filter that has one; ours have none
                self._length()
                continue
            name, value = self._property(kind)
            if name in found:
                raise ValueError(f"{name} stands twice")
            found[name] = value
        if self._at != end:
            raise ValueError("the last property is longer than all of them")
        found.pop("format", None)
        return found | {"user_properties": tuple(pairs)} if pairs else found

    def number(self, size_bytes: int) -> int:
        """Return an integer."""
        return int.from_bytes(self._take(size_bytes), "big")

    def sized(self) -> bytes:
        """Return binary data, its length in front."""
        return self._take(self.number(2))

    def text(self) -> str:
        """Return a string."""
        found = self.sized().decode()
        if _FORBIDDEN in found:
            raise ValueError("a character that MQTT forbids")
        return found

    def rest(self) -> bytes:
        """Return what was not read."""
        return self._body[self._at :]

    def _property(self, kind: int) -> tuple[str, object]:
        if kind == _PAYLOAD_FORMAT and (value := self.number(1)) <= 1:
            return "format", value
        if kind not in _PROPERTIES:
            # Also a topic alias: the board announces none. Source: MQTT 5, 3.3.2.3.4.
            raise ValueError(f"no broker may send us property {kind}")
        name, form = _PROPERTIES[kind]
        match form:
            case "number":
                return name, self.number(4)
            case "text":
                return name, self.text()
            case _:
                return name, self.sized()

    def _length(self) -> int:
        """Return a variable byte integer."""
        value = 0
        for place in range(_LENGTH_BYTES_MAX):
            byte = self.number(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 128:
                return value
        raise ValueError("a variable byte integer does not end")

    def _take(self, size_bytes: int) -> bytes:
        end = self._at + size_bytes
        found = self._body[self._at : end]
        if len(found) != size_bytes:
            raise ValueError("the packet is too short")
        self._at = end
        return found
