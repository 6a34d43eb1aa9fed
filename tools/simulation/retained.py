"""What is retained at the broker: it is true when all is quiet, and says goodbye.

In:  a world.     Out: violations.
"""

from __future__ import annotations

import json

from tools.simulation.observer import BOARD
from tools.simulation.world import World


def check_retained(world: World) -> None:
    """What is retained is true."""
    word = _retained(world, "availability")
    if word != b"online":
        world.observer.violated(f"the board is there, availability says {word!r}")
    state = json.loads(_retained(world, "state") or b"{}")
    said = {
        "queue": [state.get("queue", {}).get(name) for name in ("queued", "running")],
        "engine": state.get("engine", {}).get("phase"),
        "boot": state.get("boot"),
        "mode": state.get("service", {}).get("mode"),
        "problem": state.get("spool", {}).get("problem"),
    }
    true = {
        "queue": [0, 0],
        "engine": "ready",
        "boot": world.observer.boots,
        "mode": "serving",
        "problem": None,
    }
    if said != true:
        world.observer.violated(f"state says {said}, and {true} is true")


def check_goodbye(world: World) -> None:
    """A board that left in order has said so."""
    word = _retained(world, "availability")
    if word != b"offline":
        world.observer.violated(f"the board is gone, availability says {word!r}")


def _retained(world: World, name: str) -> bytes | None:
    found = world.broker.retained.get(f"{BOARD}/{name}")
    return None if found is None else found.message.payload
