"""How long a closing can be, told from the schema alone.

In:  a bounded schema, the bytes of an answer cut anywhere.     Out: bytes, at most.
Pure and cheap: while an answer has more tokens left than this has bytes, nobody need look for the
closing itself. Only a hint of when to begin looking: nothing breaks where it is too low.
"""

from __future__ import annotations

import math

from edged.engine.closing import STEPS_MAX
from edged.engine.partial_json import Open, Partial, read
from edged.engine.schema_choice import Choices, Node
from edged.engine.schema_size import Sizes, compact

# The rest of a character, or a colon.
CUT_BYTES_MAX = 3


class ClosingBound:
    """Bounds the closings of one schema."""

    def __init__(self, schema: Node, choices: Choices) -> None:
        self._choices = choices
        self._sizes = Sizes(schema, is_ample=True)
        self._sizes.shortest()
        self._ample: dict[int, tuple[Node, float]] = {}

    def bytes_max(self, text: bytes) -> float:
        """Return the bytes that complete `text`; infinite where the schema does not tell."""
        found = read(text)
        levels = self._choices.along(found.frames)
        inside = self._inside(found, levels)
        pairs = zip(found.frames, levels, strict=False)
        return inside + sum(self._rest(frame, choices) for frame, choices in pairs)

    def _inside(self, found: Partial, levels: list[list[Node]]) -> float:
        if found.place == "after":
            return 0
        if found.place in ("key", "key_escape"):
            return max((self._member(node) for node in levels[-2]), default=math.inf)
        return CUT_BYTES_MAX + max((self._most(node) for node in levels[-1]), default=math.inf)

    def _member(self, node: Node) -> float:
        """Return the bytes of the longest minimal member."""
        members = self._choices.members(node)
        if members.others:
            return math.inf
        known = members.known.items()
        return max((len(name) + 2 + self._value(child) for name, child in known), default=0)

    def _rest(self, frame: Open, choices: list[Node]) -> float:
        return max((self._lacking(frame, node) for node in choices), default=math.inf)

    def _lacking(self, frame: Open, node: Node) -> float:
        if "const" in node or "enum" in node:
            return self._most(node)
        if not frame.is_object:
            more = max(0, int(node.get("minItems", 0)) - frame.count)
            if more > STEPS_MAX:
                return math.inf
            items = (self._choices.items([node], frame.count + n) for n in range(more))
            return 1 + sum(1 + max(map(self._most, item), default=math.inf) for item in items)
        members = self._choices.members(node)
        if "minProperties" in node or not members.known.keys() >= set(members.required):
            return math.inf
        names = (name for name in members.required if name not in frame.names)
        return 1 + sum(len(name) + 2 + self._value(members.known[name]) for name in names)

    def _value(self, child: object) -> float:
        return max(map(self._most, self._choices.of([child])), default=math.inf)

    def _most(self, node: Node) -> float:
        """Return the bytes of a minimal value, or of the end of one that has begun."""
        if id(node) not in self._ample:
            self._ample[id(node)] = (node, self._measured(node))
        return self._ample[id(node)][1]

    def _measured(self, node: Node) -> float:
        if "const" in node or "enum" in node:
            values = node.get("enum", [node.get("const")])
            return max(len(compact(value).encode()) for value in values)
        return self._sizes.least(node) if "type" in node else math.inf
