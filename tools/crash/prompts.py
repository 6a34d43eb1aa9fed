"""The prompts of the crash tests: short enough that a round is, random enough to differ.

In:  a random source, the backend.     Out: payloads as JSON.
"""

from __future__ import annotations

import json
import random
from typing import Any, Literal

Backend = Literal["sim", "llama"]

# Longer than any count: an outcome is an answer, and not the lack of time.
TTL_S = 86_400
MESSAGES = (
    "forklift hit pallet {n} at dock 6, 12 cartons crushed",
    "TRAILER GONE FROM BAY 3, PALLET {n} STAYED",
    "temp alarm {n} dock 2 reads 11 C",
)


def payload(backend: Backend, chance: random.Random) -> str:
    """Return a prompt: for the shipped model a template's, for `sim` one of a chosen length."""
    text = chance.choice(MESSAGES).format(n=40_000 + chance.randrange(9_999))
    body: dict[str, Any] = {"receipt": True, "ttl_s": TTL_S, "priority": chance.randrange(10)}
    if backend == "llama":
        return json.dumps({"template": "dock-event", "input": text, **body})
    # The simulated engine takes about 2 ms for a character.
    chars = chance.randrange(5, 60)
    schema = {"type": "string", "minLength": chars, "maxLength": chars}
    return json.dumps({"prompt": text, "schema": schema, **body})
