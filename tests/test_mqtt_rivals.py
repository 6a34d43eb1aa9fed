"""Two clients of one name: who notices, who rests, and that a bad network is no rival."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edged.mqtt.rivals import FIGHT_S, GUESSED_FIGHT_S, GUESSED_REST_S, TOLD_REST_S, End, Rivals
from tests.broker import Mosquitto
from tests.mqtt_fixtures import (
    CLIENT_ID,
    CONNACK,
    TAKEN_OVER,
    ScriptedBroker,
    board,
    broker_config,
    finish,
    says,
    until,
)

TOLD, CLOSED, OTHER = (End("", cause) for cause in ("taken over", "closed", "other"))
Story = list[tuple[End, float] | None]


@pytest.mark.parametrize(
    ("story", "rest_s"),
    [
        pytest.param([(TOLD, 1)] * 2, 0, id="twice is no fight"),
        pytest.param([(TOLD, 1)] * 3, TOLD_REST_S, id="three times is one"),
        pytest.param([(TOLD, 1)] * 4, TOLD_REST_S, id="and the next after the rest too"),
        pytest.param([(TOLD, FIGHT_S)] * 9, 0, id="a rival that comes seldom is let be"),
        pytest.param([(TOLD, 1), (TOLD, 1), (TOLD, FIGHT_S), (TOLD, 1)], 0, id="in a row only"),
        pytest.param([(TOLD, 1)] * 2 + [None, (TOLD, 1)], 0, id="a failed attempt starts anew"),
        pytest.param([(CLOSED, 1)] * 3, GUESSED_REST_S, id="a broker that does not say it"),
        pytest.param([(CLOSED, GUESSED_FIGHT_S)] * 9, 0, id="a connection that lived a while"),
        pytest.param([(OTHER, 1)] * 9, 0, id="an end of our own making"),
        pytest.param([(CLOSED, 1), None] * 9, 0, id="a broker that is killed again and again"),
    ],
)
def test_a_fight_is_three_takeovers_in_a_row(story: Story, rest_s: float) -> None:
    rivals = Rivals()
    for entry in story:
        if entry is None:
            rivals.failed()
        else:
            rivals.served(*entry)
    assert rivals.rest_s == rest_s


def test_a_client_that_was_taken_over_three_times_does_not_come_back_at_once() -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker(says(CONNACK, TAKEN_OVER)) as broker,
            board(broker_config(broker), filters=()) as session,
        ):
            await until(session, lambda state: "Left alone for 300 s" in state.problem)
            assert len(broker.connects) == 3

    finish(scenario())


@pytest.mark.broker
def test_of_two_boards_of_one_name_one_rests_and_the_other_stays(tmp_path: Path) -> None:
    async def scenario(broker: Mosquitto) -> None:
        address = broker_config(broker)
        async with board(address) as one, board(address) as other:
            rests = {
                asyncio.create_task(until(here, lambda state: "Left alone" in state.problem)): there
                for here, there in ((one, other), (other, one))
            }
            done, _ = await asyncio.wait(rests, return_when=asyncio.FIRST_COMPLETED)
            (told,) = done
            assert f"call itself {CLIENT_ID!r}?" in told.result().problem
            await rests.pop(told).connected()
            for waiting in rests:
                waiting.cancel()

    with Mosquitto(tmp_path) as broker:
        finish(scenario(broker))
