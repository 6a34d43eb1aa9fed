"""The session keeps what it promises of prompts on real brokers: each comes once it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edged.mqtt import Delivery, Session
from edged.mqtt.session import BUFFER_MAX, BUFFER_UNACKNOWLEDGED_MAX, GROUP_MAX
from tests.broker import Mosquitto
from tests.mqtt_fixtures import (
    CONNACK,
    FLOOD,
    FLOOD_LINES,
    QUICK,
    Device,
    LoneBoard,
    ScriptedBroker,
    board,
    broker_config,
    finish,
    flood,
    payloads,
    publish_properties,
    says,
    take,
    to,
    until,
)

BROKER = pytest.mark.broker


# A prompt comes, is acknowledged, and comes again if it was not.


@BROKER
def test_a_prompt_sent_while_the_board_was_away_waits_for_it(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            assert session.state.session_present is False
        with Device(broker) as device:
            device.publish("req/1", b"waited")
        async with board(broker_config(broker)) as session:
            assert payloads(await take(session, 1)) == [b"waited"]
            await session.connected()
            assert session.state.session_present is True

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_prompt_that_nobody_acknowledged_comes_again(tmp_path: Path, protocol: str) -> None:
    async def scenario(broker: Mosquitto) -> None:
        with Device(broker) as device:
            async with board(broker_config(broker, protocol=protocol)) as session:
                await session.connected()
                device.publish("req/1", b"acknowledged")
                device.publish("req/2", b"forgotten")
                first, second = await take(session, 2)
                session.acknowledge([first])
                assert not second.inbound.duplicate
        async with board(broker_config(broker, protocol=protocol)) as session:
            (again,) = await take(session, 1)
            assert (again.inbound.payload, again.inbound.duplicate) == (b"forgotten", True)

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
def test_a_prompt_unacknowledged_at_a_kill_comes_again(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            assert payloads(await take(session, 1)) == [b"in flight"]

    with Mosquitto(tmp_path) as broker:
        with LoneBoard(broker) as lone, Device(broker) as device:
            device.publish("req/1", b"in flight")
            assert lone.line() == "in flight"
            lone.kill()
        finish(scenario(broker))


@BROKER
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_an_acknowledgement_of_an_earlier_connection_acknowledges_nothing(
    tmp_path: Path, protocol: str
) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker, protocol=protocol)) as session:
            await session.connected()
            earlier = await publish_and_take(broker, session, b"earlier")
            broker.stop()
            (tmp_path / "mosquitto.db").unlink()
            broker.start()
            await until(session, lambda state: state.connections == 2)
            later = await publish_and_take(broker, session, b"later")
            assert earlier.packet == later.packet, "else this test shows nothing"
            session.acknowledge([earlier])
            await session.publish(to("flushed"))
            broker.restart()
            (again,) = await take(session, 1)
            assert again.inbound.payload == b"later"

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


async def publish_and_take(broker: Mosquitto, session: Session, payload: bytes) -> Delivery:
    """Let a device publish a prompt and return its delivery."""
    with Device(broker) as device:
        device.publish("req/1", payload)
    (delivery,) = await take(session, 1)
    return delivery


@BROKER
def test_a_repeated_acknowledgement_is_sent_once(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            delivery = await publish_and_take(broker, session, b"once")
            session.acknowledge([delivery, delivery])
            session.acknowledge([delivery])
            await session.publish(to("flushed"))
        assert broker.log.read_text().count("Received PUBACK") == 1

    with Mosquitto(tmp_path, extra_config=["log_type all"]) as broker:
        finish(scenario(broker))


@BROKER
def test_a_flood_arrives_whole_and_in_order(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            publisher = flood(broker, qos=1)
            arrived: list[bytes] = []
            while len(arrived) < FLOOD:
                group = await session.deliveries()
                assert len(group) <= GROUP_MAX
                session.acknowledge(group)
                arrived += payloads(group)
            assert arrived == FLOOD_LINES
            assert publisher.wait() == 0

    with Mosquitto(tmp_path, extra_config=QUICK) as broker:
        finish(scenario(broker))


@BROKER
def test_prompts_that_nobody_takes_stay_in_the_socket(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto, device: Device) -> None:
        # MQTT 3.1.1 knows no receive maximum.
        async with board(broker_config(broker, protocol="3.1.1")) as session:
            await session.connected()
            publisher = flood(broker, qos=1)
            assert await asyncio.to_thread(publisher.wait) == 0
            session.publish_unacknowledged(to("heard/1", qos=0))
            await device.hear()
            assert session.buffered == BUFFER_MAX
            assert payloads(await take(session, FLOOD)) == FLOOD_LINES

    unbounded = [*QUICK, "max_inflight_messages 0"]
    with Mosquitto(tmp_path, extra_config=unbounded) as broker, Device(broker) as device:
        device.subscribe("heard/#")
        finish(scenario(broker, device))


@asynccontextmanager
async def flooded(broker: Mosquitto) -> AsyncIterator[Session]:
    """Yield a session that took nothing of a flood at QoS 0, and has read all of it."""
    async with board(broker_config(broker)) as session:
        await session.connected()
        publisher = flood(broker, qos=0)
        assert await asyncio.to_thread(publisher.wait) == 0
        await session.publish(to("heard/1"))
        yield session


@BROKER
def test_prompts_at_qos_0_that_nobody_takes_keep_no_puback_from_being_read(
    tmp_path: Path,
) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with flooded(broker) as session:
            assert session.buffered == BUFFER_UNACKNOWLEDGED_MAX
            assert payloads(await session.deliveries()) == FLOOD_LINES[:GROUP_MAX]

    with Mosquitto(tmp_path, extra_config=QUICK) as broker:
        finish(scenario(broker))


@BROKER
def test_a_flood_at_qos_0_is_told_once_with_how_many_were_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dropped = len(FLOOD_LINES) - BUFFER_UNACKNOWLEDGED_MAX
    told = f"{dropped} prompts of QoS 0 came faster than they are taken and were dropped: use QoS 1"

    async def scenario(broker: Mosquitto) -> None:
        async with flooded(broker) as session:
            await take(session, BUFFER_UNACKNOWLEDGED_MAX)
            assert [text for text in caplog.messages if "dropped" in text] == [told]

    with Mosquitto(tmp_path, extra_config=QUICK) as broker:
        finish(scenario(broker))


# What a prompt says beside its payload.


@BROKER
def test_the_properties_of_a_prompt_arrive_as_they_were_sent(tmp_path: Path) -> None:
    properties = publish_properties()
    properties.ResponseTopic = "answers/here"
    # More than the contract allows: refusing it is not this layer's part.
    properties.CorrelationData = bytes(range(256)) * 8
    properties.MessageExpiryInterval = 1000
    properties.ContentType = "text/plain"
    pairs = [(f"name {number % 7}", f"value {number}") for number in range(200)]
    properties.UserProperty = pairs

    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            with Device(broker) as device:
                device.publish("req/1", b"\xff\x00", properties=properties)
            (delivery,) = await take(session, 1)
        inbound = delivery.inbound
        assert (inbound.topic, inbound.payload) == ("req/1", b"\xff\x00")
        assert (inbound.response_topic, inbound.content_type) == ("answers/here", "text/plain")
        assert inbound.correlation == bytes(range(256)) * 8
        assert inbound.user_properties == tuple(pairs)
        assert inbound.expiry_s is not None
        assert 990 <= inbound.expiry_s <= 1000

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
@pytest.mark.parametrize("pairs", [1, 3000], ids=["in a small packet", "in properties over 16 KiB"])
def test_a_bom_in_the_properties_of_a_prompt_keeps_no_other_from_coming(
    tmp_path: Path, pairs: int
) -> None:
    properties = publish_properties()
    properties.UserProperty = [("name", "\ufefftruck")] * pairs
    properties.ResponseTopic = "answers/\ufeffhere"

    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            with Device(broker) as device, Device(broker) as other:
                device.publish("req/1", b"with a BOM", properties=properties)
                other.publish("req/2", b"plain")
            marked, plain = await take(session, 2)
            assert session.state.connections == 1
        assert (marked.inbound.response_topic, plain.inbound.payload) == (
            "answers/\ufeffhere",
            b"plain",
        )
        assert marked.inbound.user_properties == (("name", "\ufefftruck"),) * pairs

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
def test_a_prompt_over_3_1_1_has_no_properties(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker, protocol="3.1.1")) as session:
            await session.connected()
            inbound = (await publish_and_take(broker, session, b"x")).inbound
        assert (inbound.user_properties, inbound.expiry_s) == ((), None)

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
def test_a_retained_prompt_arrives_when_it_is_published_and_not_at_each_connect(
    tmp_path: Path,
) -> None:
    async def scenario(broker: Mosquitto, device: Device) -> None:
        device.publish("req/1", b"before", retain=True)
        async with board(broker_config(broker)) as session:
            await session.connected()
            device.publish("req/1", b"live", retain=True)
            (live,) = await take(session, 1)
            assert (live.inbound.payload, live.inbound.retained) == (b"live", True)
            session.acknowledge([live])
        async with board(broker_config(broker)) as session:
            await session.connected()
            device.publish("req/1", b"plain")
            (plain,) = await take(session, 1)
            assert (plain.inbound.payload, plain.inbound.retained) == (b"plain", False)

    with Mosquitto(tmp_path) as broker, Device(broker) as device:
        finish(scenario(broker, device))


def test_a_topic_that_is_not_utf_8_is_readable_enough_to_be_refused() -> None:
    async def scenario() -> None:
        publish = b"\x30\x07\x00\x03a\xffb\x00x"
        async with (
            ScriptedBroker(says(CONNACK + publish)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            (delivery,) = await take(session, 1)
            assert delivery.inbound.topic == "a\ufffdb"

    finish(scenario())
