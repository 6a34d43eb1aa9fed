"""A link that breaks, ends or is encrypted: the session outlives it."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTErrorCode

from edged import config
from edged.mqtt import Delivery, Will
from edged.mqtt.client import Client
from edged.mqtt.connection import Connection
from edged.mqtt.dial import Call
from edged.mqtt.packets import INFLIGHT_MAX
from edged.mqtt.rivals import Rivals
from tests.broker import Mosquitto, free_port
from tests.mqtt_fixtures import (
    CLIENT_ID,
    CONNACK,
    FLOOD,
    FLOOD_LINES,
    QUICK,
    WILL,
    Device,
    LoneBoard,
    ScriptedBroker,
    board,
    broker_config,
    finish,
    flood,
    make_certificate,
    payloads,
    says,
    take,
    to,
    until,
)

BROKER = pytest.mark.broker
# Source: MQTT 5, 3.14: without a reason it is "normal disconnection".
DISCONNECT = bytes([0xE0, 0])


# Packets that no good broker sends.


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"\x30\x01\x00", id="publish too short"),
        pytest.param(b"\x30\x05\x00\x01a\x02\x7f", id="unknown property"),
        pytest.param(b"\x40\x01\x00", id="puback too short"),
        pytest.param(b"\xf0\x00", id="unknown packet"),
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="impossible length"),
    ],
)
def test_an_unreadable_packet_ends_the_connection_and_not_the_session(packet: bytes) -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK, packet), says(CONNACK)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await until(session, lambda state: state.connections == 1)
            await until(session, lambda state: not state.connected)
            await session.connected()
            assert len(broker.connects) == 2

    finish(scenario())


def test_an_error_while_a_packet_is_read_ends_the_connection_and_is_told_once() -> None:
    publish = b"\x30\x05\x00\x01a\x00x"

    def fail(delivery: Delivery) -> None:
        raise RuntimeError(f"a bug that met {delivery.inbound.topic}")

    async def scenario() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: told.append(str(context["exception"]))
        )
        async with ScriptedBroker(says(CONNACK, publish)) as broker:
            connection = Connection(
                broker_config(broker),
                client_id=CLIENT_ID,
                protocol="5",
                will=WILL,
                numbers=itertools.count(1),
                arrived=fail,
                rivals=Rivals("ours"),
                call=Call(),
            )
            await connection.open(())
            end = await connection.ended()
            assert end.problem == "an error while a packet was read, see the log"
        assert told == ["a bug that met a"]

    finish(scenario())


# Leaving, and being missed.


@BROKER
def test_the_will_is_published_when_the_board_vanishes(tmp_path: Path) -> None:
    async def scenario(device: Device) -> None:
        heard = await device.hear()
        assert (heard.topic, heard.payload, heard.retain) == (WILL.topic, b"offline", True)

    with Mosquitto(tmp_path) as broker, Device(broker) as device:
        device.subscribe(WILL.topic)
        with LoneBoard(broker, will_delay_s=1) as lone:
            lone.kill()
        finish(scenario(device))


@BROKER
def test_a_board_that_leaves_politely_publishes_no_will(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto, device: Device) -> None:
        at_once = Will(WILL.topic, WILL.payload, delay_s=0)
        async with board(broker_config(broker), will=at_once) as session:
            await session.connected()
        assert not session.state.connected
        device.publish(WILL.topic, b"marker")
        assert (await device.hear()).payload == b"marker"

    with Mosquitto(tmp_path) as broker, Device(broker) as device:
        device.subscribe(WILL.topic)
        finish(scenario(broker, device))


def asks_for_keep_alive(keep_alive_s: int) -> bytes:
    """Return a CONNACK.

    Source: MQTT 5, 3.2.2.3.14 (Server Keep Alive).
    """
    return bytes([0x20, 6, 0, 0, 3, 0x13, *keep_alive_s.to_bytes(2, "big")])


@pytest.mark.parametrize("keep_alive_s", [0, 1])
def test_a_connection_rests_between_two_looks_whatever_keep_alive_the_broker_wants(
    keep_alive_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = Client.loop_misc

    def counted(client: Client) -> MQTTErrorCode:
        looks.append(client.keepalive)
        return look(client)

    monkeypatch.setattr(Client, "loop_misc", counted)

    async def scenario() -> None:
        async with (
            ScriptedBroker(says(asks_for_keep_alive(keep_alive_s))) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await session.connected()
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(looks) <= 2

    finish(scenario())


@pytest.mark.slow
@pytest.mark.parametrize("keep_alive_s", [0, 65_535])
def test_a_silent_broker_is_noticed_within_two_of_our_keep_alives(keep_alive_s: int) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with (
            ScriptedBroker(says(asks_for_keep_alive(keep_alive_s))) as broker,
            board(broker_config(broker, keepalive_s=5), filters=()) as session,
        ):
            await session.connected()
            began_s = loop.time()
            await until(session, lambda state: not state.connected)
            assert loop.time() - began_s < 2 * 5 + 1

    finish(scenario())


FAREWELL = to(WILL.topic, WILL.payload, retain=True)


def test_a_farewell_goes_past_what_waits_for_the_window() -> None:
    async def scenario() -> None:
        async with ScriptedBroker(says(CONNACK)) as broker:
            async with board(broker_config(broker), filters=()) as session:
                await session.connected()
                answers = [
                    asyncio.create_task(session.publish(to("t", b"answer"))) for _ in "x" * 64
                ]
                await broker.hears(b"answer")
                session.leave_with(FAREWELL)
            await broker.hears(DISCONNECT)
            assert broker.received.count(b"answer") == INFLIGHT_MAX
            assert broker.received.count(b"offline") == 1
            await asyncio.gather(*answers, return_exceptions=True)

    finish(scenario())


def test_a_farewell_that_the_broker_does_not_take_is_left_to_the_will() -> None:
    # Source: MQTT 5, 3.2.2.3.6 (Maximum Packet Size 20) and 3.14.2.1 (disconnect with will).
    takes_little, with_will = bytes([0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 20]), bytes([0xE0, 1, 4])

    async def scenario() -> None:
        async with ScriptedBroker(says(takes_little)) as broker:
            async with board(broker_config(broker), filters=()) as session:
                await session.connected()
                session.leave_with(FAREWELL)
            await broker.hears(with_will[:1])
            assert broker.received.startswith(with_will)

    finish(scenario())


def test_a_connection_that_could_not_subscribe_takes_no_will_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.mqtt.connection.SUBACK_S", 0.1)

    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK)) as broker,
            board(broker_config(broker)) as session,
        ):
            await until(session, lambda state: "SUBSCRIBE" in state.problem)
            await broker.hears(b"req/#")
            assert DISCONNECT not in broker.received

    finish(scenario())


# TLS.


@BROKER
# paho 2.2 leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_over_tls_a_burst_arrives_whole_and_a_new_authority_counts_at_the_next_connect(
    tmp_path: Path,
) -> None:
    good, other, trusted = (tmp_path / name for name in ("good.pem", "other.pem", "trusted.pem"))
    for certificate in (good, other):
        make_certificate(certificate)
    port = free_port()
    listener = [f"listener {port} 127.0.0.1", f"certfile {good}", f"keyfile {good}.key"]

    async def scenario(broker: Mosquitto) -> None:
        address = config.Broker(port=port, tls_ca_file=trusted, reconnect_s_max=0.5)
        trusted.write_bytes(other.read_bytes())
        async with board(address) as session:
            state = await until(session, lambda state: state.problem != "")
            assert "certificate not accepted" in state.problem
            trusted.write_bytes(good.read_bytes())
            await session.connected()
            publisher, arrived = flood(broker, qos=1), list[bytes]()
            while len(arrived) < FLOOD:
                group = await session.deliveries()
                session.acknowledge(group)
                arrived += payloads(group)
            assert arrived == FLOOD_LINES
            assert publisher.wait() == 0

    with Mosquitto(tmp_path / "broker", extra_config=[*QUICK, *listener]) as broker:
        finish(scenario(broker))


def test_packets_that_came_in_one_tls_record_are_all_read(tmp_path: Path) -> None:
    certificate = tmp_path / "own.pem"
    make_certificate(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, f"{certificate}.key")
    publishes = b"".join(b"\x30\x06\x00\x01a\x00" + b"%02d" % number for number in range(100))

    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK, publishes), tls=context) as broker,
            board(broker_config(broker, tls_ca_file=certificate), filters=()) as session,
        ):
            assert payloads(await take(session, 100)) == [b"%02d" % n for n in range(100)]

    finish(scenario())
