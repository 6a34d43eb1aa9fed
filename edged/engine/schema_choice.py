"""What a value may be at a place of a schema: references followed, choices spread out.

In:  a schema that `schema.check` has bounded.     Out: plain nodes, without `$ref`, `anyOf`,
`oneOf` and `allOf`, of one type each.
Pure. They are suggestions for the search of a closing: which branch is still open, and what a
merged one allows, the matcher decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from edged.engine.partial_json import Open
from edged.engine.schema import resolve, types_of
from edged.engine.schema_size import compact

Node = dict[str, Any]
ANYTHING: Node = {}
CHOICES_MAX = 32
_SPREAD = ("$ref", "allOf", "anyOf", "oneOf")
_LARGEST = ("minItems", "minLength", "minProperties")


@dataclass(frozen=True, slots=True)
class Members:
    """The names of an object, as JSON text with their quotes, in the order of the answer.

    Attributes:
        known: name -> schema of its value.
        required: the names that must be there; one that is not known is here too.
        others: what the value of any other name may be.
    """

    known: dict[bytes, Any]
    required: tuple[bytes, ...]
    others: tuple[Any, ...]


class Choices:
    """Spreads the nodes of one schema; each once, however many references lead to it."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._open: set[str] = set()
        # The node is kept beside what is known of it, so that no other one gets its id.
        self._known: dict[int, tuple[Any, list[Node]]] = {}
        self._members: dict[int, tuple[Node, Members]] = {}

    def of(self, nodes: Iterable[Any]) -> list[Node]:
        """Return the plain nodes that a value of any of `nodes` may follow."""
        found: dict[int, Node] = {}
        for node in nodes:
            found |= {id(choice): choice for choice in self._spread(node)}
        return list(found.values())[:CHOICES_MAX]

    def members(self, node: Node) -> Members:
        """Return what an object of this plain node consists of."""
        if id(node) not in self._members:
            self._members[id(node)] = (node, _members(node))
        return self._members[id(node)][1]

    def named(self, choices: Iterable[Node], name: bytes) -> list[Node]:
        """Return what the value of a name may be."""
        found: list[Any] = []
        for node in choices:
            members = self.members(node)
            found += [members.known[name]] if name in members.known else members.others
        return self.of(found)

    def items(self, choices: Iterable[Node], place: int) -> list[Node]:
        """Return what the item at a place may be."""
        return self.of(item(node, place) for node in choices)

    def along(self, frames: Iterable[Open]) -> list[list[Node]]:
        """Return what every open value may be, outermost first, and then the one inside them."""
        levels = [self.of([self._root])]
        for frame in frames:
            if not frame.is_object:
                levels.append(self.items(levels[-1], max(0, frame.count - 1)))
            else:
                names = frame.names[-1:]
                levels.append(self.named(levels[-1], names[0]) if names else [ANYTHING])
        return levels

    def _spread(self, node: Any) -> list[Node]:
        if isinstance(node, bool):
            return [ANYTHING] if node else []
        if id(node) not in self._known:
            self._known[id(node)] = (node, self._found(node))
        return self._known[id(node)][1]

    def _found(self, node: Node) -> list[Node]:
        plain = {key: value for key, value in node.items() if key not in _SPREAD}
        found = [plain]
        if "$ref" in node and node["$ref"] not in self._open:
            self._open.add(node["$ref"])
            found = _merged(found, self._spread(resolve(self._root, node["$ref"])))
            self._open.remove(node["$ref"])
        for branch in node.get("allOf", ()):
            found = _merged(found, self._spread(branch))
        for key in ("anyOf", "oneOf"):
            if key in node:
                every = [one for branch in node[key] for one in self._spread(branch)]
                found = _merged(found, every)
        return [single for one in found for single in _each_type(one)][:CHOICES_MAX]


def item(node: Node, place: int) -> Any:
    """Return the schema of the item at a place."""
    first = node.get("prefixItems", ())
    return first[place] if place < len(first) else node.get("items", True)


def _each_type(node: Node) -> list[Node]:
    kinds = types_of(node)
    return [node] if len(kinds) < 2 else [{**node, "type": kind} for kind in kinds]


def _members(node: Node) -> Members:
    names, properties = node.get("required", ()), node.get("properties", {})
    ordered = dict.fromkeys([*(name for name in properties if name in names), *names])
    more = node.get("additionalProperties", True)
    others = [*node.get("patternProperties", {}).values(), *([] if more is False else [more])]
    return Members(
        known={compact(name).encode(): child for name, child in properties.items()},
        required=tuple(compact(name).encode() for name in ordered),
        others=tuple(others),
    )


def _merged(some: Sequence[Node], others: Sequence[Node]) -> list[Node]:
    return [_both(*pair) for pair in islice(product(some, others), CHOICES_MAX)]


def _both(one: Node, other: Node) -> Node:
    if not one or not other:
        return one or other
    both = {**one, **other}
    for key in _LARGEST:
        if key in one and key in other:
            both[key] = max(one[key], other[key])
    if "required" in one and "required" in other:
        both["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    if "properties" in one and "properties" in other:
        both["properties"] = {**one["properties"], **other["properties"]}
        for name in one["properties"].keys() & other["properties"].keys():
            both["properties"][name] = _shared(one["properties"][name], other["properties"][name])
    return both


def _shared(one: Any, other: Any) -> Any:
    """Return what follows both; each node once, however often they were merged before."""
    nodes = {id(node): node for node in [*_all_of(one), *_all_of(other)]}
    return one if len(nodes) == 1 else {"allOf": list(nodes.values())}


def _all_of(node: Any) -> list[Any]:
    is_merged = isinstance(node, dict) and node.keys() == {"allOf"}
    return node["allOf"] if is_merged else [node]
