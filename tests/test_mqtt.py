"""The session keeps its promises on real brokers, and survives what no real one sends."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import ssl
import subprocess
from pathlib import Path
from typing import Literal

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import config
from edged.errors import BrokerGone
from edged.mqtt import Delivery, Session, Will
from edged.mqtt.connection import UNWRITTEN_MAX, Connection
from edged.mqtt.dial import Call
from edged.mqtt.rivals import Rivals
from edged.mqtt.session import BUFFER_MAX, GROUP_MAX
from edged.mqtt.version import BACKOFF_S_MIN, VersionChoice, backoff_s
from tests.broker import Mosquitto, free_port
from tests.mqtt_fixtures import (
    CLIENT_ID,
    CONNACK,
    OLD_CONNACK,
    OLD_REFUSAL,
    TAKEN_OVER,
    WILL,
    Device,
    LoneBoard,
    ScriptedBroker,
    board,
    broker_config,
    finish,
    hang_up,
    make_certificate,
    parse,
    payloads,
    properties_of,
    publish_properties,
    read_packet,
    says,
    take,
    to,
    until,
)
from tools.broker import start_amqtt
from tools.broker_programs import embedded

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
        # QoS 0 knows no receive maximum.
        async with board(broker_config(broker)) as session:
            await session.connected()
            publisher = flood(broker, qos=0)
            assert await asyncio.to_thread(publisher.wait) == 0
            session.publish_unacknowledged(to("heard/1", qos=0))
            await device.hear()
            assert session.buffered == BUFFER_MAX
            assert payloads(await take(session, FLOOD)) == FLOOD_LINES

    with Mosquitto(tmp_path, extra_config=QUICK) as broker, Device(broker) as device:
        device.subscribe("heard/#")
        finish(scenario(broker, device))


FLOOD = 2000
# The broker would drop what comes after 1,000 queued messages, and save itself at each change.
QUICK = ["max_queued_messages 0", "autosave_on_changes false"]
FLOOD_LINES = [b"%d" % number for number in range(FLOOD)]


def flood(broker: Mosquitto, *, qos: int) -> subprocess.Popen[bytes]:
    """Publish `FLOOD` prompts from another process."""
    command = broker.command("mosquitto_pub", "-t", "req/1", "-l", "-q", str(qos))
    publisher = subprocess.Popen(command, env=broker.environment, stdin=subprocess.PIPE)
    assert publisher.stdin is not None
    publisher.stdin.write(b"\n".join(FLOOD_LINES) + b"\n")
    publisher.stdin.close()
    return publisher


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


# Publishing.


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


# Brokers that refuse, and what the board says about it.


@BROKER
def test_a_broker_that_is_not_there_yet_is_found_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            state = await until(session, lambda state: state.problem != "")
            assert state.problem.startswith(f"nothing listens on 127.0.0.1:{broker.port}")
            broker.start()
            await session.connected()
            assert session.state.problem == ""

    broker = Mosquitto(tmp_path)
    try:
        finish(scenario(broker))
    finally:
        broker.stop()
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


@BROKER
def test_a_wrong_password_is_said_and_the_corrected_file_lets_the_board_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    password = tmp_path / "password"

    async def scenario(broker: Mosquitto) -> None:
        address = broker_config(broker, username="edge", password_file=password)
        async with board(address) as session:
            state = await until(session, lambda state: state.problem != "")
            assert "broker.password_file" in state.problem
            assert "cannot be used" in state.problem
            password.write_text("wrong\n")
            state = await until(session, lambda state: "does not let" in state.problem)
            assert "user 'edge'" in state.problem
            assert "right" not in state.problem
            password.write_text("right\nsecond line\n")
            await session.connected()
            assert session.state.problem == ""

    with Mosquitto(tmp_path / "broker", users={"edge": "right"}) as broker:
        finish(scenario(broker))
    refusals = [record for record in caplog.records if "does not let" in record.getMessage()]
    assert len(refusals) == 1


def test_a_name_that_does_not_resolve_is_said() -> None:
    async def scenario() -> None:
        address = config.Broker(host="no-such-broker.invalid")
        async with board(address) as session:
            state = await until(session, lambda state: state.problem != "")
            assert "'no-such-broker.invalid' cannot be resolved" in state.problem

    finish(scenario())


def test_refused_subscriptions_are_said_while_the_connection_stands() -> None:
    async def grant_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK)
        subscribe = await read_packet(reader)
        writer.write(bytes([0x90, 5, *subscribe[2:4], 0, 1, 0x87]))

    async def scenario() -> None:
        async with (
            ScriptedBroker(grant_one) as broker,
            board(broker_config(broker), filters=("granted", "refused")) as session,
        ):
            await session.connected()
            assert session.state.problem.endswith("refused: Not authorized")

    finish(scenario())


def test_a_takeover_of_the_client_id_is_named() -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK, TAKEN_OVER)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await session.connected()
            state = await until(session, lambda state: state.problem != "")
            assert f"took over the client id {CLIENT_ID!r}" in state.problem

    finish(scenario())


# Versions of MQTT.


@BROKER
@pytest.mark.parametrize(
    "protocol",
    ["3.1.1", pytest.param("auto", marks=pytest.mark.slow)],  # amqtt keeps silent at MQTT 5
)
def test_a_broker_without_mqtt_5_is_served_over_3_1_1(tmp_path: Path, protocol: str) -> None:
    pytest.importorskip("amqtt")

    async def scenario(port: int) -> None:
        async with board(parse(port=port, protocol=protocol)) as session:
            await session.connected()
            assert session.state.protocol == "3.1.1"
            assert (await session.publish(to("req/own", b"echo"))).claimed
            (delivery,) = await take(session, 1)
            assert delivery.inbound.payload == b"echo"
            session.acknowledge([delivery])

    broker = start_amqtt(embedded(), tmp_path, free_port())
    try:
        finish(scenario(broker.port))
    finally:
        broker.stop()


@BROKER
def test_auto_speaks_mqtt_5_where_it_can(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            assert session.state.protocol == "5"

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


def test_a_broker_that_refuses_mqtt_5_is_asked_for_3_1_1() -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(says(OLD_REFUSAL), says(OLD_CONNACK)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await session.connected()
            assert session.state.protocol == "3.1.1"
            assert len(broker.connects) == 2

    finish(scenario())


def test_a_forced_version_that_the_broker_refuses_is_said() -> None:

    async def scenario() -> None:
        async with (
            ScriptedBroker(says(OLD_REFUSAL)) as broker,
            board(broker_config(broker, protocol="5"), filters=()) as session,
        ):
            state = await until(session, lambda state: state.problem != "")
            assert 'set broker.protocol = "auto"' in state.problem

    finish(scenario())


def test_a_broker_that_hangs_up_at_mqtt_5_is_asked_for_3_1_1() -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(hang_up, hang_up, says(OLD_CONNACK)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await session.connected()
            assert session.state.protocol == "3.1.1"
        # Source: MQTT 5, 3.1.2.2: the protocol version follows the name.
        assert [connect[connect.index(b"MQTT") + 4] for connect in broker.connects] == [5, 5, 4]

    finish(scenario())


@pytest.mark.parametrize(
    ("configured", "story", "wanted"),
    [
        ("auto", [], "5"),
        ("auto", ["refused"], "3.1.1"),
        ("auto", ["refused", "accepted", "unanswered", "unanswered"], "3.1.1"),
        ("auto", ["refused", "refused"], "5"),
        ("auto", ["unanswered"], "5"),
        ("auto", ["unanswered", "unanswered"], "3.1.1"),
        ("auto", ["unanswered", "unanswered", "unanswered", "unanswered"], "5"),
        ("auto", ["accepted", "unanswered", "unanswered", "unanswered"], "5"),
        ("5", ["refused", "unanswered", "unanswered"], "5"),
        ("3.1.1", ["refused", "unanswered", "unanswered"], "3.1.1"),
    ],
)
def test_the_next_version_follows_from_how_the_last_attempts_ended(
    configured: Literal["auto", "5", "3.1.1"], story: list[str], wanted: str
) -> None:
    choice = VersionChoice(configured)
    for ending in story:
        getattr(choice, ending)()
    assert choice.next == wanted


@given(failures=st.integers(0, 10_000), longest_s=st.floats(0.5, 600))
def test_the_wait_doubles_with_jitter_up_to_its_bound(failures: int, longest_s: float) -> None:
    wait_s = backoff_s(failures, longest_s)
    assert 0 <= wait_s <= min(longest_s, BACKOFF_S_MIN * 2.0 ** min(failures, 100))


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
            publisher = flood(broker, qos=0)
            assert payloads(await take(session, FLOOD)) == FLOOD_LINES
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
