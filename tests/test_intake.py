"""The way in: nobody's PUBACK waits for another one's, and copies are answered for what they are.

Method: the whole daemon in virtual time; what the broker holds back is written out.
"""

from __future__ import annotations

import json

import pytest

from tests.simulation_fixtures import ask, played
from tools.simulation.observer import BOARD
from tools.simulation.wire import Message
from tools.simulation.world import World

pytestmark = pytest.mark.model  # the whole daemon, with a simulated engine

RECEIPT = json.dumps({"prompt": "hello", "receipt": True}).encode()
TO_FLOOD = f"{BOARD}/res/flood/"


def flooded(world: World, count: int) -> None:
    """Send a prompt so many times at QoS 0; each copy wants `accepted`."""
    for _ in range(count):
        world.broker.publish(Message(f"{BOARD}/req/flood/p", RECEIPT, qos=0))


def test_what_is_told_of_prompts_at_qos_0_holds_up_no_puback() -> None:
    async def play(world: World) -> None:
        world.broker.withholds = lambda message: message.topic.startswith(TO_FLOOD)
        flooded(world, 100)
        await world.passing(1.0)
        other = ask(world, "other", receipt=True)
        await world.passing(1.0)
        assert other.is_durable

    played(play)


def test_accepted_comes_at_the_qos_of_its_prompt() -> None:
    async def play(world: World) -> None:
        heard: list[Message] = []
        world.broker.listen(f"{TO_FLOOD}#", heard.append)
        flooded(world, 2)
        await world.passing(5.0)
        events = [(json.loads(one.payload)["event"], one.qos) for one in heard]
        assert events == [("accepted", 0), ("accepted", 0), ("done", 1)]

    played(play)
