"""How long a closing can be, told from the schema alone.

In:  a bounded schema, the bytes of an answer cut anywhere.     Out: tokens, at most.
Pure and cheap: while an answer has more tokens left than this, nobody need look for the closing
itself. Only a hint of when to begin looking: nothing breaks where it is too low.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edged.engine.closing import STEPS_MAX
from edged.engine.partial_json import Open, Partial, read
from edged.engine.schema_choice import Choices, Node
from edged.engine.schema_size import Sizes, compact

# The rest of a character, or a colon.
CUT_BYTES_MAX = 3


@dataclass(frozen=True, slots=True)
class _Costs:
    """What one plain node can take.

    Attributes:
        node: kept so that no other one gets its id.
        ends_bytes: the end of a value that has begun, or a whole minimal one.
        tokens: a whole minimal value.
        member_bytes: the longest minimal member of an object, of which any part may be there.
        needed_tokens: the members that an object must have.
    """

    node: Node
    ends_bytes: float
    tokens: float
    member_bytes: float
    needed_tokens: dict[bytes, float]


class ClosingBound:
    """Bounds the closings of one schema.

    Names and named values are counted in tokens, whatever else there is in bytes: no token has
    less than one. `Closings` writes them as they are counted here, one by one, where that is
    shorter.
    """

    def __init__(self, schema: Node, choices: Choices, count: Callable[[bytes], int]) -> None:
        """Take a schema, its choices, and what counts the tokens of a text."""
        self._choices = choices
        self._count = count
        self._sizes = Sizes(schema, is_ample=True)
        self._sizes.shortest()
        self._known: dict[int, _Costs] = {}

    def tokens_max(self, text: bytes) -> float:
        """Return the tokens that complete `text`; infinite where the schema does not tell."""
        found = read(text)
        levels = self._choices.along(found.frames)
        inside = self._inside(found, levels)
        pairs = zip(found.frames, levels, strict=False)
        return inside + sum(self._rest(frame, choices) for frame, choices in pairs)

    def _inside(self, found: Partial, levels: list[list[Node]]) -> float:
        if found.place == "after":
            return 0
        if found.place in ("key", "key_escape"):
            return _most(self._costs(node).member_bytes for node in levels[-2])
        return CUT_BYTES_MAX + _most(self._costs(node).ends_bytes for node in levels[-1])

    def _rest(self, frame: Open, choices: list[Node]) -> float:
        return _most(self._lacking(frame, node) for node in choices)

    def _lacking(self, frame: Open, node: Node) -> float:
        if "const" in node or "enum" in node:
            return self._costs(node).ends_bytes
        if not frame.is_object:
            return self._lacking_items(frame, node)
        needed = self._costs(node).needed_tokens.items()
        return 1 + sum(tokens for name, tokens in needed if name not in frame.names)

    def _lacking_items(self, frame: Open, node: Node) -> float:
        more = max(0, int(node.get("minItems", 0)) - frame.count)
        if more > STEPS_MAX:
            return math.inf
        items = (self._choices.items([node], frame.count + n) for n in range(more))
        return 1 + sum(1 + _most(self._costs(one).tokens for one in item) for item in items)

    def _costs(self, node: Node) -> _Costs:
        if id(node) not in self._known:
            self._known[id(node)] = _Costs(
                node,
                ends_bytes=self._bytes(node),
                tokens=self._tokens(node),
                member_bytes=self._member_bytes(node),
                needed_tokens=self._needed_tokens(node),
            )
        return self._known[id(node)]

    def _bytes(self, node: Node) -> float:
        if "const" in node or "enum" in node:
            return max(map(len, _named(node)))
        return self._sizes.least(node) if "type" in node else math.inf

    def _tokens(self, node: Node) -> float:
        if "const" in node or "enum" in node:
            return max(map(self._count, _named(node)))
        return self._bytes(node)

    def _member_bytes(self, node: Node) -> float:
        members = self._choices.members(node)
        if members.others:
            return math.inf
        return max(
            (
                len(name) + 2 + _most(map(self._bytes, self._choices.of([child])))
                for name, child in members.known.items()
            ),
            default=0,
        )

    def _needed_tokens(self, node: Node) -> dict[bytes, float]:
        members = self._choices.members(node)
        if "minProperties" in node or not members.known.keys() >= set(members.required):
            return {b"": math.inf}
        return {
            name: self._count(b"," + name + b":")
            + _most(map(self._tokens, self._choices.of([members.known[name]])))
            for name in members.required
        }


def _most(sizes: Iterable[float]) -> float:
    """Return the greatest; of nothing, nothing can be said."""
    return max(sizes, default=math.inf)


def _named(node: Node) -> list[bytes]:
    """Return the values that a node names, as JSON text."""
    return [compact(value).encode() for value in node.get("enum", [node.get("const")])]
