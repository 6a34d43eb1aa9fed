"""Two clients of one name: who notices, who rests, and that a bad network is no rival."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.mqtt.rivals import FIGHT_S, GUESSED_FIGHT_S, REST_S, End, Rivals
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
        pytest.param([(TOLD, 1)] * 3, REST_S, id="three times is one"),
        pytest.param([(TOLD, 1)] * 4, REST_S, id="and the next after the rest too"),
        pytest.param([(TOLD, FIGHT_S)] * 9, 0, id="a rival that comes seldom is let be"),
        pytest.param([(TOLD, 1), (TOLD, 1), (TOLD, FIGHT_S), (TOLD, 1)], 0, id="in a row only"),
        pytest.param([(TOLD, 1)] * 2 + [None, (TOLD, 1)], 0, id="a failed attempt starts anew"),
        pytest.param([(CLOSED, 1)] * 9, 0, id="a guess costs no service"),
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
    """Return what was noted of connections, each an end and its age, or a failed attempt."""
    rivals = Rivals()
    for entry in story:
        if entry is None:
            rivals.failed()
        else:
            rivals.served(*entry)
    return rivals


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
