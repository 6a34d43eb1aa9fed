"""What the session publishes arrives, waits or fails, and is never lost unsaid."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from edged.errors import BrokerGone
from edged.mqtt.outgoing import UNWRITTEN_MAX
from tests.broker import Mosquitto
from tests.mqtt_fixtures import (
    CONNACK,
    Device,
    ScriptedBroker,
    board,
    broker_config,
    finish,
    properties_of,
    says,
    to,
    until,
)

BROKER = pytest.mark.broker


@BROKER
def test_a_publish_is_acknowledged_and_says_whether_anyone_subscribes(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        with Device(broker) as device:
            device.subscribe("heard/#")
            async with board(broker_config(broker)) as session:
                await session.connected()
                assert (await session.publish(to("heard/1", b"answer"))).claimed
                assert not (await session.publish(to("unheard/1"))).claimed
            assert (await device.hear()).payload == b"answer"

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
def test_properties_leave_with_a_message(tmp_path: Path) -> None:
    message = to(
        "heard/1",
        correlation=b"\x00\xff",
        expiry_s=1000,
        content_type="application/json",
        user_properties=(("edged-event", "done"), ("edged-status", "200")),
    )

    async def scenario(broker: Mosquitto) -> None:
        with Device(broker) as device:
            device.subscribe("heard/#")
            async with board(broker_config(broker)) as session:
                await session.connected()
                await session.publish(message)
            assert properties_of(await device.hear()) == {
                "PayloadFormatIndicator": 1,
                "MessageExpiryInterval": 1000,
                "ContentType": "application/json",
                "CorrelationData": "00ff",
                "UserProperty": [("edged-event", "done"), ("edged-status", "200")],
            }

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
def test_a_message_with_properties_leaves_without_them_over_3_1_1(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        with Device(broker, paho.MQTTv311) as device:
            device.subscribe("heard/#")
            async with board(broker_config(broker, protocol="3.1.1")) as session:
                await session.connected()
                message = to("heard/1", b"answer", correlation=b"c", expiry_s=5)
                assert (await session.publish(message)).claimed
            assert (await device.hear()).payload == b"answer"

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
def test_a_chunk_leaves_without_being_acknowledged(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        with Device(broker) as device:
            device.subscribe("heard/#")
            async with board(broker_config(broker)) as session:
                await session.connected()
                session.publish_unacknowledged(to("heard/1", b"chunk", qos=0))
                heard = await device.hear()
                assert (heard.payload, heard.qos) == (b"chunk", 0)

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


def test_chunks_for_a_clogged_socket_are_dropped_and_answers_are_not() -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await session.connected()
            for _ in range(3 * UNWRITTEN_MAX):
                session.publish_unacknowledged(to("heard/1", bytes(1000), qos=0))
            answer = asyncio.create_task(session.publish(to("heard/1", b"answer")))
            await broker.hears(b"answer")
            assert broker.received.count(bytes(1000)) == UNWRITTEN_MAX
            answer.cancel()

    finish(scenario())


def test_publishing_before_subscribed_fails_at_once_and_leaves_nothing_behind() -> None:
    # Source: MQTT 5, 3.9 (SUBACK of packet 1, granted at QoS 1).
    suback = bytes([0x90, 4, 0, 1, 0, 1])

    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK)) as broker,
            board(broker_config(broker), filters=("filter",)) as session,
        ):
            for is_subscribing in (False, True):
                if is_subscribing:
                    await broker.hears(b"filter")
                session.publish_unacknowledged(to("t", b"too early"))
                with pytest.raises(BrokerGone):
                    await session.publish(to("t", b"too early"))
            broker.say(suback)
            await session.connected()
            session.publish_unacknowledged(to("t", b"marker"))
            await broker.hears(b"marker")
            assert b"too early" not in broker.received

    finish(scenario())


@BROKER
def test_a_broker_killed_in_the_middle_of_a_publish_is_gone_and_then_back(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            assert await session.connected() == 1
            os.kill(broker.pid, signal.SIGSTOP)
            publish = asyncio.create_task(session.publish(to("t")))
            await asyncio.sleep(0)
            broker.kill()
            with pytest.raises(BrokerGone):
                await publish
            await until(session, lambda state: not state.connected)
            broker.start()
            assert await session.connected() == 2
            assert session.state.problem == ""
            await session.publish(to("t"))

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@BROKER
@pytest.mark.slow
def test_a_broker_that_froze_is_noticed_within_two_keep_alives(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker, keepalive_s=5)) as session:
            await session.connected()
            os.kill(broker.pid, signal.SIGSTOP)
            publish = asyncio.create_task(session.publish(to("t")))
            with pytest.raises(BrokerGone):
                await publish
            os.kill(broker.pid, signal.SIGCONT)
            await until(session, lambda state: state.connections == 2)

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


def test_more_messages_than_the_broker_takes_at_a_time_wait_their_turn() -> None:
    # Source: MQTT 5, 3.2.2.3.3 (Receive Maximum 2) and 3.4 (PUBACK of packet 1).
    takes_two = bytes([0x20, 6, 0, 0, 3, 0x21, 0, 2])
    puback = bytes([0x40, 2, 0, 1])

    async def scenario() -> None:
        async with (
            ScriptedBroker(says(takes_two)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await session.connected()
            publishes = [asyncio.create_task(session.publish(to("t", b"answer"))) for _ in "12345"]
            await broker.hears(b"answer")
            session.publish_unacknowledged(to("t", b"marker"))
            await broker.hears(b"marker")
            assert broker.received.count(b"answer") == 2
            broker.say(puback)
            await publishes[0]
            session.publish_unacknowledged(to("t", b"later"))
            await broker.hears(b"later")
            assert broker.received.count(b"answer") == 3
            for publish in publishes:
                publish.cancel()

    finish(scenario())


def test_an_answer_over_the_broker_s_quota_is_published_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.mqtt.outgoing.AGAIN_S", 0.1)
    # Source: MQTT 5, 3.4 (PUBACK) and table 3-4 (quota exceeded).
    refusal, puback = bytes([0x40, 3, 0, 1, 0x97]), bytes([0x40, 2, 0, 2])

    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await session.connected()
            answer = asyncio.create_task(session.publish(to("t", b"answer")))
            await broker.hears(b"answer")
            broker.received.clear()
            broker.say(refusal)
            await broker.hears(b"answer")
            broker.say(puback)
            assert (await answer).claimed

    finish(scenario())


@BROKER
def test_a_message_too_large_for_the_broker_does_not_cost_the_connection(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        with Device(broker) as device:
            device.subscribe("heard/#")
            async with board(broker_config(broker)) as session:
                await session.connected()
                assert not (await session.publish(to("heard/1", bytes(3000)))).claimed
                assert (await session.publish(to("heard/1", bytes(1900)))).claimed
                assert session.state.connections == 1

    with Mosquitto(tmp_path, extra_config=["max_packet_size 2000"]) as broker:
        finish(scenario(broker))


@BROKER
@pytest.mark.parametrize("topic", ["a/#", "a/+/b", "$SYS/x", ""])
def test_nothing_is_published_to_a_topic_that_no_answer_may_have(
    tmp_path: Path, topic: str
) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            with pytest.raises(ValueError, match="does not publish"):
                await session.publish(to(topic))
            await session.publish(to("t"))

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))
