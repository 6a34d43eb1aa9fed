"""Two clients of one name: who notices, who rests, and that a bad network is no rival."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from edged import config
from edged.contract import Outbound
from edged.errors import BrokerGone
from edged.mqtt import ConnectionState, Session
from edged.mqtt.presence import PROPERTY, Presence, presence_of
from edged.mqtt.rivals import FIGHT_S, GUESSED_FIGHT_S, REST_S, End, Rivals
from tests.broker import Mosquitto
from tests.mqtt_fixtures import (
    CLIENT_ID,
    CONNACK,
    TAKEN_OVER,
    WILL,
    ScriptedBroker,
    board,
    broker_config,
    finish,
    parse,
    says,
    to,
    until,
)
from tools.fault_proxy import FaultProxy

ONLINE = Outbound(WILL.topic, b"online", retain=True)

TOLD, CLOSED, OTHER = (End("", cause) for cause in ("taken over", "closed", "other"))
OURS = "ours"
Story = Sequence[tuple[End, float] | Presence | None]


def met(*numbers: int, instance: str = "theirs", age_s: float = 1) -> Story:
    """Return connections that found these signs and were closed without a word."""
    signs = [Presence(instance, number) for number in numbers]
    return [part for sign in signs for part in (sign, (CLOSED, age_s))]


@pytest.mark.parametrize(
    ("story", "rest_s"),
    [
        pytest.param([(TOLD, 1)] * 2, 0, id="twice is no fight"),
        pytest.param([(TOLD, 1)] * 3, REST_S, id="three times is one"),
        pytest.param([(TOLD, 1)] * 4, REST_S, id="and the next after the rest too"),
        pytest.param([(TOLD, FIGHT_S)] * 9, 0, id="a rival that comes seldom is let be"),
        pytest.param([(TOLD, 1), (TOLD, 1), (TOLD, FIGHT_S), (TOLD, 1)], 0, id="in a row only"),
        pytest.param([(TOLD, 1)] * 2 + [None, (TOLD, 1)], 0, id="a failed attempt starts anew"),
        pytest.param([(CLOSED, 1)] * 9, 0, id="a guess costs no service"),
        pytest.param(met(7, 8, 9), REST_S, id="or the rival's own sign got on"),
        pytest.param(met(1, 2, 3, 4, age_s=FIGHT_S - 1), REST_S, id="also at a slower pace"),
        pytest.param(met(1, 2, 3, 4, age_s=FIGHT_S), 0, id="but not at a slow one"),
        pytest.param(met(7, 7, 7, 7, 7), 0, id="a sign that stays is a predecessor's"),
        pytest.param(met(9, 8, 7, 6), 0, id="one that goes back is an old backup's"),
        pytest.param(met(1, 2, 3, 4, instance=OURS), 0, id="ours is none"),
        pytest.param([*met(1), *met(2, instance="b"), *met(3)], 0, id="each from somebody else"),
    ],
)
def test_a_board_rests_after_three_takeovers_in_a_row(story: Story, rest_s: float) -> None:
    assert after(story).rest_s == rest_s


@pytest.mark.parametrize(
    ("story", "is_suspected"),
    [
        pytest.param([(CLOSED, 1)] * 3, True, id="a broker that does not say it"),
        pytest.param([(CLOSED, GUESSED_FIGHT_S)] * 9, False, id="connections that lived a while"),
        pytest.param([(OTHER, 1)] * 9, False, id="ends of our own making"),
        pytest.param([(CLOSED, 1), None] * 9, False, id="a broker killed again and again"),
    ],
)
def test_a_rival_is_suspected_where_the_broker_is_there_each_time(
    story: Story, is_suspected: bool
) -> None:
    assert after(story).is_suspected == is_suspected


def after(story: Story) -> Rivals:
    """Return what was noted of signs, of ends with the connection's age, and of failed attempts."""
    rivals = Rivals(OURS)
    for entry in story:
        match entry:
            case None:
                rivals.failed()
            case Presence():
                rivals.met(entry)
            case end, lived_s:
                rivals.served(end, lived_s)
    return rivals


def test_a_sign_on_a_message_is_read_again() -> None:
    signed = Presence("a/b", 3).on(to("t", user_properties=(("k", "v"),)))
    assert presence_of(signed.user_properties) == Presence("a/b", 3)


@pytest.mark.parametrize("value", ["", "a", "/3", "a/", "a/-1", "a/x"])
def test_what_is_no_sign_is_nobodys(value: str) -> None:
    assert presence_of([(PROPERTY, value)]) is None


def test_a_client_that_was_taken_over_three_times_does_not_come_back_at_once() -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK, TAKEN_OVER)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await until(session, lambda state: "left alone for 300 s" in state.problem)
            assert len(broker.connects) == 3

    finish(scenario())


@pytest.mark.broker
def test_two_boards_of_one_name_are_told_so_by_a_broker_that_does_not_say_it(
    tmp_path: Path,
) -> None:
    async def scenario(broker: Mosquitto) -> None:
        address = broker_config(broker)
        async with board(address) as one, board(address):
            state = await until(one, lambda state: "another client" in state.problem)
            assert repr(CLIENT_ID) in state.problem

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@pytest.mark.broker
def test_of_two_boards_that_say_online_one_rests_though_the_broker_does_not_say_why(
    tmp_path: Path,
) -> None:
    async def scenario(broker: Mosquitto) -> None:
        address = broker_config(broker)
        async with announcing(address) as one, announcing(address) as other:
            resting = [asyncio.create_task(rests(session)) for session in (one, other)]
            done, waiting = await asyncio.wait(resting, return_when=asyncio.FIRST_COMPLETED)
            assert "give each board its own node.name" in done.pop().result().problem
            for task in waiting:
                task.cancel()

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@pytest.mark.broker
def test_a_board_alone_on_a_link_that_breaks_again_and_again_never_rests(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with (
            FaultProxy(broker.host, broker.port) as proxy,
            announcing(parse(host=proxy.host, port=proxy.port)) as session,
        ):
            for _ in range(6):
                await session.connected()
                await session.publish(ONLINE)
                proxy.cut()
                await until(session, lambda state: not state.connected)
                assert "left alone" not in session.state.problem

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))


@contextlib.asynccontextmanager
async def announcing(address: config.Broker) -> AsyncIterator[Session]:
    """Run a session that says `online` at each connect, as the daemon does."""
    async with board(address) as session:
        task = asyncio.create_task(announce(session))
        try:
            yield session
        finally:
            task.cancel()


async def announce(session: Session) -> None:
    """Say `online` once on each connection."""
    said = None
    while True:
        number = await session.connected()
        if number != said:
            with contextlib.suppress(BrokerGone):
                await session.publish(ONLINE)
                said = number
        await session.changed()


async def rests(session: Session) -> ConnectionState:
    """Wait until a session leaves its name to another client."""
    return await until(session, lambda state: "left alone for 300 s" in state.problem)
