"""Outcomes are told, and cancels obeyed, whatever PUBACKs lack and however slow the disk is.

Method: the whole daemon in virtual time; what the broker, the link and the disk do is written out.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edged.outbox import WINDOW
from tests.simulation_fixtures import ask, played
from tools.simulation.observer import BOARD, CORRELATION
from tools.simulation.wire import Message
from tools.simulation.world import World

pytestmark = pytest.mark.model  # the whole daemon, with a simulated engine


def test_an_outcome_waits_for_no_puback_of_another_one() -> None:
    async def play(world: World) -> None:
        world.broker.withholds = lambda message: message.field(CORRELATION) == b"first"
        first = ask(world, "first")
        await world.passing(5.0)
        second = ask(world, "second")
        await world.passing(5.0)
        assert (first.event, second.event) == ("done", "done")
        world.broker.withholds = lambda message: False
        world.network.cut()
        await world.passing(30.0)
        assert world.observer.unfinished == 0

    played(play)


def test_more_outcomes_than_may_be_under_way_at_once_are_all_told() -> None:
    async def play(world: World) -> None:
        world.broker.withholds = lambda message: True
        asked = [ask(world, f"{number}") for number in range(3 * WINDOW)]
        await world.passing(60.0)
        world.broker.withholds = lambda message: False
        world.network.cut()
        await world.passing(30.0)
        assert {one.event for one in asked} == {"done"}
        assert world.observer.unfinished == 0

    played(play)


def test_an_outcome_that_the_broker_ends_connections_for_costs_the_others_little() -> None:
    """As mosquitto does over 3.1.1 with one that is larger than its max_packet_size."""
    tries: list[float] = []

    async def play(world: World) -> None:
        def rejects(message: Message) -> bool:
            is_meant = bool(message.field(CORRELATION) == b"first")
            tries.extend([world.loop.time()] * is_meant)
            return is_meant

        world.broker.rejects = rejects
        first = ask(world, "first")
        await world.passing(600.0)
        assert len(tries) < 10
        second = ask(world, "second")
        await world.passing(5.0)
        assert (first.event, second.event) == ("", "done")
        world.broker.rejects = lambda message: False
        await world.passing(3600.0)
        assert first.event == "done"

    played(play)


def test_an_outcome_that_nothing_is_before_is_told_without_a_look_into_the_spool() -> None:
    async def play(world: World) -> None:
        ask(world, "first")
        await world.passing(5.0)

        own = world.loop.job

        def lasting_a_second(run: Callable[[], object]) -> float:
            own(run)
            return 1.0

        world.loop.job = lasting_a_second
        second = ask(world, "second")
        await world.passing(3.9)  # accepted, started, settled
        assert second.event == "done"

    played(play)


def test_a_prompt_that_is_cancelled_while_it_starts_is_not_computed() -> None:
    async def play(world: World) -> None:
        for number in range(25):
            asked = ask(world, f"p-{number}")
            await world.passing(number * 0.002)
            topic = f"{BOARD}/cancel/tester/p-{number}"
            world.broker.publish(Message(topic, b""))
            await world.passing(2.0)
            assert asked.event in ("cancelled", "done")

    played(play)
