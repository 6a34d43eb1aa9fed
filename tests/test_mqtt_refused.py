"""Brokers that refuse, or speak another version: what the board says, and tries next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import config
from edged.mqtt.version import BACKOFF_S_MIN, VersionChoice, backoff_s
from tests.broker import Mosquitto, free_port
from tests.mqtt_fixtures import (
    CLIENT_ID,
    CONNACK,
    OLD_CONNACK,
    OLD_REFUSAL,
    TAKEN_OVER,
    ScriptedBroker,
    board,
    broker_config,
    finish,
    hang_up,
    parse,
    read_packet,
    says,
    take,
    to,
    until,
)
from tools.broker import start_amqtt
from tools.broker_programs import embedded

BROKER = pytest.mark.broker


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
        assert versions(broker) == [5, 5, 4]

    finish(scenario())


def versions(broker: ScriptedBroker) -> list[int]:
    """Return the versions that were asked for; 4 is 3.1.1.

    Source: MQTT 5, 3.1.2.2: the protocol version follows the name.
    """
    return [connect[connect.index(b"MQTT") + 4] for connect in broker.connects]


async def dropped(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept MQTT 3.1.1, then end the connection."""
    writer.write(OLD_CONNACK)
    await writer.drain()
    writer.close()


def test_a_broker_that_was_only_stopping_is_asked_for_mqtt_5_again() -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(hang_up, hang_up, dropped, says(CONNACK)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await until(session, lambda state: state.protocol == "5")
        assert versions(broker) == [5, 5, 4, 5]

    finish(scenario())


def test_a_broker_that_always_hangs_up_at_mqtt_5_is_served_over_3_1_1_again() -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(hang_up, hang_up, dropped, hang_up, says(OLD_CONNACK)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await until(session, lambda state: state.connected and state.connections == 2)
        assert versions(broker) == [5, 5, 4, 5, 4]

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
        # A 3.1.1 that was guessed: 5 is asked once more each time, and what it then says counts.
        ("auto", ["unanswered", "unanswered", "accepted"], "5"),
        ("auto", ["unanswered", "unanswered", "accepted", "unanswered"], "3.1.1"),
        ("auto", ["unanswered", "unanswered", "accepted", "unanswered", "accepted"], "5"),
        ("auto", ["unanswered", "unanswered", "accepted", "unanswered", "unanswered"], "3.1.1"),
        ("auto", ["unanswered", "unanswered", "accepted", "accepted", *["unanswered"] * 3], "5"),
        ("auto", ["unanswered", "unanswered", "accepted", "refused", "accepted"], "3.1.1"),
        ("auto", ["unanswered", "unanswered", "refused"], "5"),
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
