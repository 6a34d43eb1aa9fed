"""What edged reads and writes of MQTT by itself is what paho would read and write."""

from __future__ import annotations

import socket

import paho.mqtt.client as paho
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from edged.contract import Inbound, Outbound
from edged.mqtt import packets, publish
from edged.mqtt.client import Client
from edged.mqtt.packets import Delivery, Protocol

VERSIONS: dict[Protocol, MQTTProtocolVersion] = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}
# MQTT allows it, and paho 2.2.0 calls it malformed. Source: MQTT 5, 1.5.4-3.
BOM = "\ufeff".encode()
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
usual = texts | texts.map(lambda text: f"{text[:20]}\ufeff{text[20:39]}")
outbound = st.builds(
    Outbound,
    topic=usual.filter(lambda text: bool(text) and not set(text) & {"+", "#"}),
    payload=st.binary(max_size=200),
    qos=st.sampled_from([0, 1]),
    retain=st.booleans(),
    correlation=st.none() | st.binary(max_size=300),
    expiry_s=st.none() | st.integers(0, 2**32 - 1),
    content_type=st.none() | usual,
    user_properties=st.lists(st.tuples(usual, usual), max_size=5).map(tuple),
)
protocols = st.sampled_from(sorted(VERSIONS))


def written(message: Outbound, protocol: Protocol) -> tuple[int, bytes]:
    """Return the packet that paho makes of a message: the first byte, and all behind its length."""
    sent = written_whole(message, protocol)
    place = next(place for place in range(1, 5) if sent[place] < 128)
    return sent[0], sent[place + 1 :]


def written_whole(message: Outbound, protocol: Protocol) -> bytes:
    """Return the packet that paho makes of a message."""
    here, there = socket.socketpair()
    with here, there:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=VERSIONS[protocol])
        client._sock = here
        properties = packets.publish_properties(message) if protocol == "5" else None
        client.publish(message.topic, message.payload, message.qos, message.retain, properties)
        sent = there.recv(100_000)
        client._sock = None
    return sent


def read_by_paho(command: int, body: bytes, protocol: Protocol) -> publish.Arrived:
    """Return what paho reads."""
    found = _packet.decode_publish(command, body, VERSIONS[protocol])
    message = paho.MQTTMessage(found.mid, found.topic)
    message.dup, message.qos, message.retain = found.dup, found.qos, found.retain
    message.properties, message.payload = found.properties, found.payload
    return publish.Arrived(packets.inbound(message), found.mid, found.qos)


def without_bom(body: bytes) -> bytes:
    """Return a packet as long as this one that paho does not refuse for its U+FEFF."""
    return body.replace(BOM, "\ufefe".encode())


@given(outbound, protocols)
def test_a_message_is_read_as_it_was_written(message: Outbound, protocol: Protocol) -> None:
    arrived = publish.read(*written(message, protocol), protocol)
    assert arrived is not None
    assert (arrived.qos, bool(arrived.packet)) == (message.qos, message.qos == 1)
    plain = Inbound(message.topic, message.payload, message.retain, packet=arrived.packet)
    assert arrived.inbound == (
        plain
        if protocol == "3.1.1"
        else Inbound(
            message.topic,
            message.payload,
            message.retain,
            packet=arrived.packet,
            correlation=message.correlation,
            expiry_s=message.expiry_s,
            content_type=message.content_type,
            user_properties=message.user_properties,
        )
    )


@given(outbound, protocols, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255))))
def test_whatever_is_read_paho_reads_too(
    message: Outbound, protocol: Protocol, damage: list[tuple[int, int]]
) -> None:
    command, body = written(message, protocol)
    broken = bytearray(body)
    for place, byte in damage:
        broken[place % len(broken)] = byte
    known = without_bom(bytes(broken))
    arrived = publish.read(command, known, protocol)
    if arrived is not None:
        assert arrived == read_by_paho(command, known, protocol)


@given(st.integers(0, 15), st.binary(max_size=60), protocols)
@example(0, b"", "5")
@example(2, b"\0\1a\0\1\3\x0b\1\0x", "5")  # a subscription identifier, and a piece of nothing
def test_nothing_is_read_that_paho_would_refuse_but_for_a_bom(
    flags: int, body: bytes, protocol: Protocol
) -> None:
    known = without_bom(body)
    arrived = publish.read(0x30 | flags, known, protocol)
    if arrived is not None:
        try:
            told = read_by_paho(0x30 | flags, known, protocol)
        except MalformedPacket as error:
            raise AssertionError(f"read, though {error}") from error
        assert arrived == told


# Source: MQTT 5, 2.2.2.2 (identifiers of properties) and 1.5.5 (lengths of two and three bytes).
PAIR = b"\x26\x00\x01k\x00\x05a\xef\xbb\xbfb"
OTHERS = {
    "every property that a broker may add": b"\x01\x01\x02\0\0\0\x09\x0b\x01\x0b\xff\xff\xff\x7f",
    "16 KiB of pairs": PAIR * 1500,
    "256 KiB of pairs": PAIR * 25_000,
}


@pytest.mark.parametrize("rest", OTHERS.values(), ids=OTHERS)
def test_no_property_of_a_good_broker_keeps_a_bom_from_being_read(rest: bytes) -> None:
    content = rest + PAIR
    length = VariableByteIntegers.encode(len(content))  # type: ignore[no-untyped-call] # see above
    arrived = publish.read(0x32, b"\0\1a\0\7" + length + content + b"x", "5")
    assert arrived is not None
    assert (arrived.inbound.payload, arrived.packet) == (b"x", 7)
    assert arrived.inbound.user_properties[-1] == ("k", "a\ufeffb")


@given(outbound)
def test_properties_are_packed_as_paho_would(message: Outbound) -> None:
    packed = packets.publish_properties(message).pack()
    assume(BOM not in packed)
    found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho annotates none
    _, size_bytes = found.unpack(packed)  # type: ignore[no-untyped-call] # see above
    assert size_bytes == len(packed)
    assert found.json()["PayloadFormatIndicator"] == 1  # type: ignore[no-untyped-call] # see above
    assert getattr(found, "CorrelationData", None) == message.correlation
    assert getattr(found, "MessageExpiryInterval", None) == message.expiry_s
    assert getattr(found, "ContentType", None) == message.content_type
    assert tuple(getattr(found, "UserProperty", ())) == message.user_properties


def test_the_acknowledgements_of_a_group_leave_in_one_write_and_in_order() -> None:
    client = Client(CallbackAPIVersion.VERSION2, manual_ack=True)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        client._sock = here
        client.acknowledge(
            [
                Delivery(Inbound("t", b""), 1, packet, qos)
                for packet, qos in ((7, 1), (3, 1), (9, 2))
            ]
        )
        assert there.recv(100) == b"\x40\x02\x00\x07\x40\x02\x00\x03\x70\x02\x00\x09"
        client._sock = None


@given(st.lists(outbound, min_size=1, max_size=4), st.integers(0, 2000), protocols)
def test_whole_packets_are_found_and_no_piece_of_one(
    messages: list[Outbound], cut: int, protocol: Protocol
) -> None:
    packets_of = [written_whole(message, protocol) for message in messages]
    stream, found = b"".join(packets_of)[:cut], []
    while (whole := publish.first(stream)) is not None:
        found.append(stream[: whole.size_bytes])
        assert found[-1].endswith(whole.body)
        stream = stream[whole.size_bytes :]
    assert found == packets_of[: len(found)]
    assert len(found) == len(messages) or len(stream) < len(packets_of[len(found)])


def test_packets_that_came_together_are_taken_one_by_one() -> None:
    client = Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311, manual_ack=True)
    heard: list[bytes] = []
    client.arrived = lambda arrived: heard.append(arrived.inbound.payload)
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        client._sock = here
        large = bytes(300) + b"\x30\x04\0\1tb"
        there.sendall(b"\x30\x04\0\1ta" + b"\x30\xaf\x02\0\1t" + large[:300] + large[300:])
        while client.loop_read() == paho.MQTT_ERR_SUCCESS and len(heard) < 3:
            assert client.has_unread or len(heard) == 3
        assert heard == [b"a", bytes(300), b"b"]
        assert not client.has_unread
        client._sock = None
