"""How short and how long an answer to a bounded schema can be.

In:  a schema that `schema.check` has bounded.     Out: the shortest answer's text, the longest
one's bytes. Pure. Both are safe bounds: never longer than the shortest, never shorter than the
longest valid answer in compact JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from edged.engine.pattern import width

# UTF-8 has at most 4 bytes per character; escapes are limited to two (see constraints.ESCAPES).
CHARACTER_BYTES_MAX = 4


@dataclass(frozen=True, slots=True)
class Rope:
    """A text by its parts, so that one that would not fit in memory still has a length."""

    length: float  # characters; infinite when no text is short enough to end
    parts: tuple[Rope | str, ...]
    times: int = 1

    def __str__(self) -> str:
        # What is written no time may lead to itself in two ways at each of many levels.
        return "".join(map(str, self.parts)) * self.times if self.times else ""


_ENDLESS = Rope(math.inf, ())


class Sizes:
    """Measures one bounded schema; references are followed, recursion is met.

    Args of the constructor:
        root: the schema.
        is_ample: strings and numbers count with the most that their shortest text can have, for a
            bound from above; else with the least.
    """

    def __init__(self, root: dict[str, Any], *, is_ample: bool = False) -> None:
        self._root = root
        self._is_ample = is_ample
        self._open: list[str] = []
        self._longest: dict[str, float] = {}
        self._shortest: dict[str, Rope] = {}

    def shortest(self) -> Rope | None:
        """Return the shortest answer, or None when every answer would be endless."""
        # A definition may lean on another one measured later: repeat until nothing gets shorter.
        while True:
            before = dict(self._shortest)
            found = self._short(self._root)
            for name in list(self._shortest):
                self._shortest[name] = self._short(self._target(name))
            if {k: v.length for k, v in before.items()} == {
                k: v.length for k, v in self._shortest.items()
            }:
                return None if math.isinf(found.length) else found

    def least(self, node: Any) -> float:
        """Return the characters of the shortest value of a subschema; after `shortest`."""
        return self._short(node).length

    def bytes_max(self) -> int | None:
        """Return the bytes of the longest answer, or None when nothing bounds it."""
        longest = self._long(self._root)
        return None if math.isinf(longest) else int(longest)

    def _target(self, reference: str) -> Any:
        head, _, name = reference.rpartition("/")
        return self._root if reference == "#" else self._root[head.removeprefix("#/")][name]

    def _short(self, node: Any) -> Rope:
        if node is True:
            return _text("0")
        if node is False:
            return _ENDLESS
        if "const" in node:
            return _text(compact(node["const"]))
        if "enum" in node:
            return _least(_text(compact(value)) for value in node["enum"])
        if "$ref" in node:
            return self._shortest.setdefault(node["$ref"], _ENDLESS)
        for key in ("anyOf", "oneOf"):
            if key in node:
                return _least(self._short(branch) for branch in node[key])
        if "allOf" in node:
            own = {key: value for key, value in node.items() if key != "allOf"}
            return _most(self._short(branch) for branch in (own, *node["allOf"]))
        if "type" not in node:
            return _text("0")
        return _least(self._short_of_type(kind, node) for kind in _types(node))

    def _short_of_type(self, kind: str, node: dict[str, Any]) -> Rope:
        if kind == "string":
            shortest = _string_chars(node)[self._is_ample and not _is_plain(node)]
            return _joined('"', Rope(shortest, ("a",), shortest), '"')
        if kind == "array":
            return self._short_array(node)
        if kind == "object":
            return self._short_object(node)
        if kind in ("number", "integer"):
            return _text("0" * _long_number(node) if self._is_ample else _short_number(node))
        return _text("true" if kind == "boolean" else "null")

    def _short_array(self, node: dict[str, Any]) -> Rope:
        count = int(node.get("minItems", 0))
        if count == 0:
            return _text("[]")
        first = [self._short(item) for item in node.get("prefixItems", [])[:count]]
        more = count - len(first)
        item = self._short(node.get("items", True)) if more else _text("")
        if math.isinf(item.length):
            return _ENDLESS
        rest = Rope((item.length + 1) * (more - 1), (item, ","), more - 1) if more else _text("")
        last = item if more else first.pop()
        return _joined("[", *(_joined(part, ",") for part in first), rest, last, "]")

    def _short_object(self, node: dict[str, Any]) -> Rope:
        known = node.get("properties", {})
        members: list[Rope | str] = []
        for name in node.get("required", []):
            value = self._short(known.get(name, True))
            members += [compact(name), ":", value, ","]
        return _joined("{", *members[:-1], "}")

    def _long(self, node: Any) -> float:
        if isinstance(node, bool):
            return math.inf if node else 0
        if "const" in node:
            return _bytes(node["const"])
        if "enum" in node:
            return max(_bytes(value) for value in node["enum"])
        if "$ref" in node:
            return self._long_reference(node["$ref"])
        for key in ("anyOf", "oneOf"):
            if key in node:
                return max((self._long(branch) for branch in node[key]), default=0)
        if "allOf" in node or "type" not in node:
            return math.inf
        return max(self._long_of_type(kind, node) for kind in _types(node))

    def _long_reference(self, reference: str) -> float:
        if reference in self._open:
            return math.inf
        if reference not in self._longest:
            self._open.append(reference)
            self._longest[reference] = self._long(self._target(reference))
            self._open.pop()
        return self._longest[reference]

    def _long_of_type(self, kind: str, node: dict[str, Any]) -> float:
        if kind == "string":
            return 2 + CHARACTER_BYTES_MAX * _string_chars(node)[1]
        if kind == "array":
            return self._long_array(node)
        if kind == "object":
            return self._long_object(node)
        if kind in ("number", "integer"):
            return _long_number(node)
        return len("false")

    def _long_array(self, node: dict[str, Any]) -> float:
        first = node.get("prefixItems", [])
        is_closed = node.get("items", True) is False
        rest = 0 if is_closed else max(0, node["maxItems"] - len(first))
        item = self._long(node.get("items", True)) + 1 if rest else 0
        return 2 + sum(self._long(part) + 1 for part in first) + (rest * item if rest else 0)

    def _long_object(self, node: dict[str, Any]) -> float:
        if node.get("additionalProperties", True) is not False or "patternProperties" in node:
            return math.inf
        known = node.get("properties", {})
        return 2 + sum(_bytes(name) + 2 + self._long(value) for name, value in known.items())


def compact(value: Any) -> str:
    """Return a value as the engine writes JSON: no spaces, no needless escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _bytes(value: Any) -> int:
    return len(compact(value).encode())


def _types(node: dict[str, Any]) -> list[str]:
    kinds = node["type"]
    return kinds if isinstance(kinds, list) else [kinds]


def _string_chars(node: dict[str, Any]) -> tuple[int, int]:
    low, high = node.get("minLength", 0), node["maxLength"]
    if "pattern" in node:
        shortest, longest = width(node["pattern"])
        low, high = max(low, shortest), high if longest is None else min(high, longest)
    return int(low), int(high)


def _is_plain(node: dict[str, Any]) -> bool:
    return "pattern" not in node and "format" not in node


def _short_number(node: dict[str, Any]) -> str:
    low = node.get("minimum", node.get("exclusiveMinimum", 0))
    high = node.get("maximum", node.get("exclusiveMaximum", 0))
    if low <= 0 <= high:
        return "0"
    nearest = low if low > 0 else high
    return "0" * len(str(int(nearest)))


def _long_number(node: dict[str, Any]) -> int:
    ends = [node[key] for key in _ENDS if key in node]
    whole = max(len(str(int(end))) for end in ends)
    steps = [Decimal(str(node[key])).normalize() for key in (*_ENDS, "multipleOf") if key in node]
    decimals = max(max(0, -int(step.as_tuple().exponent)) for step in steps)
    # One more digit and the sign: -0.5 has them although its whole part is 0.
    return whole + 1 + (decimals + 1 if "number" in _types(node) else 0)


_ENDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def _text(text: str) -> Rope:
    return Rope(len(text), (text,))


def _joined(*parts: Rope | str) -> Rope:
    length = sum(len(part) if isinstance(part, str) else part.length for part in parts)
    return Rope(length, parts)


def _least(ropes: Iterable[Rope]) -> Rope:
    return min(ropes, key=lambda rope: rope.length, default=_ENDLESS)


def _most(ropes: Iterable[Rope]) -> Rope:
    return max(ropes, key=lambda rope: rope.length)
