"""The fields of MQTT packets: paho's types in, edged's types out, and back.

In:  paho messages, `Outbound`.     Out: `Delivery` and its kind; paho properties and options.
Pure. Does not know: sockets, connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged.config import Broker
from edged.contract import Inbound, Outbound
from edged.topics import is_publishable

Protocol = Literal["5", "3.1.1"]

# Source: MQTT 5, 3.14.2.1.
_WITH_WILL = 0x04

# The most prompts the broker may have under way to us without a PUBACK: a group that is committed,
# one that is read and measured meanwhile, and one on its way.
RECEIVE_MAX = 192
# paho's own limit of QoS 1 messages in flight; at or under it paho never queues one itself.
INFLIGHT_MAX = 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """One PUBLISH that waits for its PUBACK.

    Attributes:
        connection: number of the connection it came on; an acknowledgement on another is dropped.
        packet: its Packet Identifier; 0 at QoS 0.
    """

    inbound: Inbound
    connection: int
    packet: int
    qos: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker's PUBACK.

    Attributes:
        claimed: False when nobody subscribes to the topic, not even an offline session (MQTT 5,
            reason 0x10), or when the broker does not take this message; True on 3.1.1, which
            cannot tell.
    """

    claimed: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What a broker takes; it ends the connection that breaks a limit, and paho reads neither.

    Source: MQTT 5, 3.2.2.3.3 and 3.2.2.3.6.

    Attributes:
        window: messages at QoS 1 without a PUBACK.
        packet_bytes_max: size of a packet; None: any.
    """

    window: int
    packet_bytes_max: int | None


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained, when the board vanishes.

    Attributes:
        delay_s: how long the board may be away before that; MQTT 5 only. Longer than a usual
            reconnect, so that a short break is not announced.
    """

    topic: str
    payload: bytes
    delay_s: int = 10


def limits(connack: object) -> Limits:
    """Return what the properties of a CONNACK say; None: there are none."""
    window = getattr(connack, "ReceiveMaximum", INFLIGHT_MAX)
    return Limits(min(INFLIGHT_MAX, window), getattr(connack, "MaximumPacketSize", None))


def inbound(message: MQTTMessage) -> Inbound:
    """Return what a PUBLISH from the broker says; judging it is admission's part."""
    return Inbound(
        topic=_topic_in(message),
        payload=bytes(message.payload),
        retained=message.retain,
        duplicate=message.dup,
        packet=message.mid,
        response_topic=getattr(message.properties, "ResponseTopic", None),
        correlation=getattr(message.properties, "CorrelationData", None),
        expiry_s=getattr(message.properties, "MessageExpiryInterval", None),
        content_type=getattr(message.properties, "ContentType", None),
        user_properties=tuple(getattr(message.properties, "UserProperty", ())),
    )


def _topic_in(message: MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError as error:
        # A broker should not let it through. The name with marks in it is nobody's, so that the
        # message is counted and acknowledged; unacknowledged it would come at each reconnect.
        return error.object.decode("utf-8", "replace")


def topic_out(message: Outbound) -> str:
    """Return the topic of a message to be sent.

    Raises:
        ValueError: no answer may go there; whoever chose the topic had to check it.
    """
    if not is_publishable(message.topic):
        raise ValueError(f"edged does not publish to {message.topic!r}")
    return message.topic


class Packed(Properties):
    """Properties that are packed already: paho looks each one's name up in a list, several times.

    Args:
        content: as they stand in the packet, their length in front.
    """

    _content: bytes

    def __init__(self, content: bytes) -> None:
        # paho's own __init__ makes the tables that its `pack` needs, and forbids further names.
        object.__setattr__(self, "_content", content)

    def pack(self) -> bytes:
        """Return the bytes."""
        return self._content


def publish_properties(message: Outbound) -> Packed:
    """Return the MQTT 5 properties of a message; all payloads of the contract are UTF-8.

    Source: MQTT 5, 2.2.2.2 (identifiers) and 1.5 (how values are written).
    """
    parts = [b"\x01\x01"]
    if message.expiry_s is not None:
        parts.append(b"\x02" + message.expiry_s.to_bytes(4, "big"))
    if message.content_type is not None:
        parts.append(b"\x03" + _sized(message.content_type.encode()))
    if message.correlation is not None:
        parts.append(b"\x09" + _sized(message.correlation))
    for name, value in message.user_properties:
        parts.append(b"\x26" + _sized(name.encode()) + _sized(value.encode()))
    content = b"".join(parts)
    return Packed(_length(len(content)) + content)


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _length(value: int) -> bytes:
    """Return a variable byte integer."""
    digits = bytearray()
    while value > 127:
        digits.append(value % 128 + 128)
        value //= 128
    return bytes([*digits, value])


def packet_bytes(message: Outbound, properties: Packed | None) -> int:
    """Return the size of a PUBLISH, at most 3 bytes too much.

    Source: MQTT 5, 3.3: fixed header of up to 5 bytes, topic with its length, Packet Identifier.
    """
    packed = b"" if properties is None else properties.pack()
    return 5 + 2 + len(message.topic.encode()) + 2 + len(packed) + len(message.payload)


def fits(message: Outbound, properties: Packed | None, limit: int | None) -> bool:
    """Return whether a PUBLISH is within the bytes that a broker takes; None: any."""
    return limit is None or packet_bytes(message, properties) <= limit


def connect_properties(broker: Broker) -> Properties:
    """Return the MQTT 5 properties of CONNECT.

    No Topic Alias Maximum: paho 2.2 does not resolve aliases. The broker silently keeps back a
    larger packet than our maximum, so `state` tells devices the limit.
    """
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = broker.session_expiry_s
    properties.ReceiveMaximum = RECEIVE_MAX
    properties.MaximumPacketSize = broker.packet_bytes_max
    return properties


def will_properties(will: Will) -> Properties:
    """Return the MQTT 5 properties of the will."""
    properties = _properties(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = will.delay_s
    return properties


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call] # paho annotates none of it


def with_will() -> ReasonCode:
    """Return the reason of a DISCONNECT that leaves the last word to the will; MQTT 5 alone."""
    return ReasonCode(PacketTypes.DISCONNECT, identifier=_WITH_WILL)


def subscriptions(filters: Sequence[str], protocol: Protocol) -> list[tuple[str, Any]]:
    """Return what SUBSCRIBE asks for.

    QoS 1, also for prompts published at QoS 2: paho answers PUBREC before anyone could have
    stored the prompt. On MQTT 5 retained prompts are not sent again at each connect, and a live
    one says that it is retained. Filters that overlap make mosquitto send a message twice; the
    prompt's id makes them one. No shared subscriptions: mosquitto 2.0 also gives prompts to
    boards that are offline.
    """
    if protocol == "3.1.1":
        return [(name, 1) for name in filters]
    options = SubscribeOptions(
        qos=1, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND
    )
    return [(name, options) for name in filters]


def one_look(topic: str) -> tuple[str, Any]:
    """Return what SUBSCRIBE asks for to get what is retained at a topic, at QoS 0; MQTT 5."""
    return topic, SubscribeOptions(qos=0)


def refused_filters(filters: Sequence[str], codes: Sequence[ReasonCode]) -> str:
    """Return what is wrong with the filters, in words; "" when all were granted at QoS 1.

    Codes beyond those of the filters say nothing about them.
    """
    pairs = zip(filters, codes, strict=False)
    refused = [f"{name}: {code}" for name, code in pairs if code.value != 1]
    if not refused:
        return ""
    listed = "; ".join(refused)
    return f"the broker did not grant every subscription at QoS 1, allow them there: {listed}"
