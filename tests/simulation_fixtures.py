"""The whole daemon in virtual time, with what goes wrong written out, not drawn.

In: what a test does to the world.  Out: what the board showed; no promise was broken meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from tools.simulation.observer import BOARD, CORRELATION, Asked
from tools.simulation.wire import Message
from tools.simulation.world import Found, World, simulate

# Takes 0.4 s, so that something can happen meanwhile.
LONG = {"type": "string", "minLength": 200, "maxLength": 200}


def played(play: Callable[[World], Awaitable[None]], *, is_metered: bool = False) -> Found:
    """Play on a board whose broker and engine are there; return what it showed."""

    async def whole(world: World) -> None:
        world.is_metered = is_metered
        await world.network.open()
        world.begin()
        await world.passing(5.0)
        await play(world)
        await world.terminate()
        await world.bury()

    found = simulate(1, whole)
    assert found.violations == ()
    return found


def ask(
    world: World, id: str, text: str = "hello", client: str = "tester", **keys: object
) -> Asked:
    """Publish a prompt; return the books on it."""
    body = json.dumps({"prompt": text, **keys})
    asked = world.observer.asked[id.encode()] = Asked(body)
    topic = f"{BOARD}/req/{client}/{id}"
    world.broker.publish(Message(topic, body.encode(), fields=((CORRELATION, id.encode()),)))
    return asked
