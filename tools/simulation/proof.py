"""The proof that a board serves once all faults have ended: new prompts, and all are answered.

In:  a world without faults.     Out: violations.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from tools.simulation.devices import SCHEMA, WORDS
from tools.simulation.observer import BOARD, CORRELATION, Asked
from tools.simulation.wire import Message
from tools.simulation.world import World

# Refused prompts are asked again: engines that keep ending are tried again every 30 s.
TRIES, PAUSE_S = 6, 30.0
TTL_S = 900
# Hung engines are found out meanwhile, and links that went silent.
HEARD_S_MAX, AGAIN_S = 240.0, 10.0
ASKS: tuple[dict[str, Any], ...] = (
    {"prompt": "is anybody there"},
    {"prompt": "which dock", "schema": SCHEMA, "priority": 0},
    {"prompt": "tell me", "schema": WORDS, "stream": True},
)


async def prove(world: World) -> None:
    """Ask until nothing is refused; whatever was taken has to be done."""
    for number in range(TRIES):
        books = {f"proof-{number}-{place}": _book(ask) for place, ask in enumerate(ASKS)}
        world.observer.asked |= {id.encode(): book for id, book in books.items()}
        await _heard(world, books)
        for id, book in books.items():
            if not book.refusals and book.event != "done":
                world.observer.violated(f"after all faults {id} is {book.event or 'unanswered'}")
        if not any(book.refusals for book in books.values()):
            return
        await asyncio.sleep(PAUSE_S)
    world.observer.violated("after all faults prompts are refused")


def _book(ask: dict[str, Any]) -> Asked:
    return Asked(json.dumps({"ttl_s": TTL_S, **ask}))


async def _heard(world: World, books: Mapping[str, Asked]) -> None:
    """Ask, and again, until each has been heard of, as a device does."""
    ends_s = world.loop.time() + HEARD_S_MAX
    while world.loop.time() < ends_s:
        unheard = [id for id, book in books.items() if not (book.outcomes or book.refusals)]
        if not unheard:
            return
        if world.life is None:  # it was told to end by the last fault
            world.begin()
        for id in unheard:
            fields, payload = ((CORRELATION, id.encode()),), books[id].text.encode()
            world.broker.publish(Message(f"{BOARD}/req/proof/{id}", payload, fields=fields))
        await asyncio.sleep(AGAIN_S)
