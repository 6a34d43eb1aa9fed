"""What engines told of each prompt: a device is answered that, and what its schema allows.

In:  outcomes as the engine wrote them; replies as the broker got them.     Out: what is wrong.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

# An engine's answer may be lost on its way, and the next engine says it in another way.
Texts = set[str]


class Told:
    """The books on answers, by the correlation of their prompt."""

    def __init__(self) -> None:
        self._texts: defaultdict[bytes, Texts] = defaultdict(set)

    def tell(self, key: bytes, text: str) -> None:
        """An engine wrote this for a prompt."""
        self._texts[key].add(text)

    def wrong(self, key: bytes, schema: dict[str, Any] | None, reply: dict[str, Any]) -> str:
        """Return what is wrong with a `done`; "" where nothing is."""
        texts = self._texts.get(key, set())
        if schema is None:
            return "" if reply.get("text") in texts else "its text is not what an engine told"
        answer = reply.get("json")
        if not fits(answer, schema):
            return "its answer does not fit its schema"
        if not any(_parsed(text) == [answer] for text in texts):
            return "its answer is not what an engine told"
        return ""


def fits(value: object, schema: dict[str, Any]) -> bool:
    """Return whether a value is what a schema of the simulated devices allows."""
    match schema["type"]:
        case "string":
            longest = schema.get("maxLength", math.inf)
            return isinstance(value, str) and schema.get("minLength", 0) <= len(value) <= longest
        case "integer":
            return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
        case _:
            return (
                isinstance(value, dict)
                and value.keys() == schema["properties"].keys()
                and all(fits(value[name], one) for name, one in schema["properties"].items())
            )


def _parsed(text: str) -> list[Any]:
    """Return what a text is as JSON; nothing where it is none."""
    try:
        return [json.loads(text)]
    except ValueError:
        return []
