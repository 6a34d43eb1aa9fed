"""The shortest text that completes an unfinished answer.

In:  a bounded schema, the bytes of an answer cut anywhere.     Out: the bytes that close it.
Pure. The schema suggests and the matcher decides: a value in progress is ended with the fewest
bytes, then every open object gets the required members that it lacks, with minimal values, and
every open list the items that it lacks. What the matcher refuses is tried in another way, within
a bound of steps. Does not know: tokens, caps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from edged.engine.byte_matcher import ByteMatcher
from edged.engine.minimal_scalar import FILLER, texts
from edged.engine.partial_json import Open, Partial, read
from edged.engine.scalar_end import Inside, endings, is_whole
from edged.engine.schema import SHORTEST_BYTES_MAX
from edged.engine.schema_choice import ANYTHING, Choices, Node
from edged.engine.schema_size import Sizes, compact

STEPS_MAX = 2_000
FRESH_DEPTH_MAX = 40
_BRACKETS = {"object": b"{", "array": b"["}
_ESCAPE = re.compile(r"\\.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Spot:
    """A text and the place behind it."""

    text: bytes
    at: ByteMatcher


_Stage = Callable[[_Spot], Iterator[_Spot]]


class _Spent(Exception):
    """The search took all the steps that it may."""


class Closer:
    """Closes the answers of one schema; keeps the minimal values that it found."""

    def __init__(self, schema: Node, choices: Choices, start: ByteMatcher) -> None:
        self._start = start
        self._known = _Known(schema, choices)

    def closing(self, text: bytes, steps_max: int = STEPS_MAX) -> bytes | None:
        """Return what completes `text`, or None when nothing was found in so many steps."""
        at = self._start.after(text)
        if at is None:
            return None
        search = _Search(self._known, steps_max)
        try:
            return search.run(text, at)
        except _Spent:
            return None


class _Known:
    """What is kept of one schema.

    Attributes:
        values: minimal values by the nodes they may follow. Nodes that say the same share one: the
            search for a format's takes a hundred steps.
    """

    def __init__(self, schema: Node, choices: Choices) -> None:
        self.choices = choices
        self.values: dict[tuple[str, ...], bytes] = {}
        self._texts: dict[int, tuple[Node, str]] = {}
        self._sizes = Sizes(schema)
        self._sizes.shortest()
        self._least: dict[int, tuple[Node, float]] = {}

    def key(self, choices: list[Node]) -> tuple[str, ...]:
        """Return what the values of these nodes are kept under."""
        for node in choices:
            if id(node) not in self._texts:
                self._texts[id(node)] = (node, compact(node))
        return tuple(self._texts[id(node)][1] for node in choices)

    def least(self, choices: list[Node]) -> float:
        """Return a length that no value of these nodes is shorter than."""
        for node in choices:
            if id(node) not in self._least:
                self._least[id(node)] = (node, self._sizes.least(node))
        return min((self._least[id(node)][1] for node in choices), default=0.0)


class _Search:
    def __init__(self, known: _Known, steps_max: int) -> None:
        self._known = known
        self._choices = known.choices
        self._steps = steps_max

    def run(self, text: bytes, at: ByteMatcher) -> bytes | None:
        forced = at.forced()
        behind = self._advance(at, forced)
        if behind is None:
            return None
        stages = self._stages(read(text + forced))
        for spot in _chained(_Spot(forced, behind), stages):
            if spot.at.is_accepting:
                return spot.text
        return None

    def _stages(self, found: Partial) -> list[_Stage]:
        """Return what is left to write: the value in progress, then all that is open."""
        levels = self._choices.along(found.frames)
        inner: list[_Stage] = [
            partial(self._rest, frame, choices, 0)
            for frame, choices in reversed(list(zip(found.frames, levels, strict=False)))
        ]
        if found.place in ("key", "key_escape"):
            key = partial(self._key, found.frames[-1], levels[-2], found.begun)
            return [key, *inner[1:]]
        if found.place == "colon":
            inner = [partial(self._literal, b":"), partial(self._value, levels[-1], 0), *inner]
        elif found.place == "fresh":
            inner = [partial(self._value, levels[-1], 0), *inner]
        elif found.place in ("string", "escape"):
            inner = [partial(self._string, levels[-1], found.begun), *inner]
        elif found.place == "bare":
            inner = [partial(self._scalar, "bare"), *inner]
        return inner

    def _advance(self, at: ByteMatcher, text: bytes) -> ByteMatcher | None:
        if self._steps <= 0:
            raise _Spent
        self._steps -= 1
        return at.after(text) if text else at

    def _literal(self, text: bytes, spot: _Spot) -> Iterator[_Spot]:
        at = self._advance(spot.at, text)
        if at is not None:
            yield _Spot(spot.text + text, at)

    def _scalar(self, inside: Inside, spot: _Spot) -> Iterator[_Spot]:
        for text, at in endings(spot.at, inside, self._advance):
            yield _Spot(spot.text + text, at)

    def _key(self, frame: Open, choices: list[Node], begun: bytes, spot: _Spot) -> Iterator[_Spot]:
        """End a name, give it a value, and close its object."""
        for name in self._names(frame, choices, begun):
            then = Open(is_object=True, names=[*frame.names, name])
            yield from _chained(
                spot,
                [
                    partial(self._literal, name[len(begun) :] + b":"),
                    partial(self._value, self._choices.named(choices, name), 0),
                    partial(self._rest, then, choices, 0),
                ],
            )
        inside: Inside = ("escape" if _is_escape(begun) else "string") if begun else "fresh"
        for named in self._scalar(inside, spot):
            name = begun + named.text[len(spot.text) :]
            then = Open(is_object=True, names=[*frame.names, name])
            value = partial(self._value, self._choices.named(choices, name), 0)
            rest = partial(self._rest, then, choices, 0)
            yield from _chained(named, [partial(self._literal, b":"), value, rest])

    def _names(self, frame: Open, choices: list[Node], begun: bytes) -> list[bytes]:
        """Return the known names that begin so, those first that cost least."""
        costs: dict[bytes, float] = {}
        for node in choices:
            members = self._choices.members(node)
            for name, child in members.known.items():
                if name.startswith(begun) and name not in frame.names:
                    is_needed = name in members.required
                    least = self._known.least(self._choices.of([child]))
                    cost = 0 if is_needed else len(name) + least
                    costs[name] = min(cost, costs.get(name, cost))
        return sorted(costs, key=lambda name: costs[name])

    def _rest(self, frame: Open, choices: list[Node], depth: int, spot: _Spot) -> Iterator[_Spot]:
        """Give an open object or list what it lacks, and close it."""
        if frame.is_object:
            yield from self._rest_of_object(frame, choices, depth, spot)
        else:
            yield from self._rest_of_list(frame, choices, depth, spot)

    def _rest_of_object(
        self, frame: Open, choices: list[Node], depth: int, spot: _Spot
    ) -> Iterator[_Spot]:
        lacking: dict[tuple[bytes, ...], float] = {(): 0}
        for node in choices:
            every = self._choices.members(node).required
            names = tuple(name for name in every if name not in frame.names)
            least = sum(self._known.least(self._choices.named([node], name)) for name in names)
            least += sum(map(len, names))
            lacking[names] = min(least, lacking.get(names, least))
        for names in sorted(lacking, key=lambda every: lacking[every]):
            stages = []
            for place, name in enumerate(names):
                comma = b"" if frame.is_empty and not place else b","
                stages.append(partial(self._literal, comma + name + b":"))
                stages.append(partial(self._value, self._choices.named(choices, name), depth))
            yield from _chained(spot, [*stages, partial(self._literal, b"}")])
        # Something else is needed, such as `minProperties`.
        stages = [partial(self._literal, b"" if frame.is_empty else b",")]
        yield from _chained(spot, [*stages, partial(self._key, frame, choices, b"")])

    def _rest_of_list(
        self, frame: Open, choices: list[Node], depth: int, spot: _Spot
    ) -> Iterator[_Spot]:
        needed = {max(0, int(node.get("minItems", 0)) - frame.count) for node in choices}
        yield from self._literal(b"]", spot)
        for node in sorted(choices, key=partial(self._lacking_cost, frame)):
            more = max(0, int(node.get("minItems", 0)) - frame.count)
            yield from self._items(frame, [node], more, depth, spot)
        # Where several branches must hold at once, one alone does not tell the items.
        for more in sorted(needed):
            yield from self._items(frame, choices, more, depth, spot)

    def _items(
        self, frame: Open, choices: list[Node], more: int, depth: int, spot: _Spot
    ) -> Iterator[_Spot]:
        """Give a list so many more items, and close it."""
        if more > STEPS_MAX:
            return
        stages: list[_Stage] = []
        for place in range(frame.count, frame.count + more):
            stages.append(partial(self._literal, b"," if place else b""))
            stages.append(partial(self._value, self._choices.items(choices, place), depth))
        yield from _chained(spot, [*stages, partial(self._literal, b"]")])

    def _lacking_cost(self, frame: Open, node: Node) -> float:
        """Return a length that the items which a list lacks are not shorter than."""
        more = min(STEPS_MAX, max(0, int(node.get("minItems", 0)) - frame.count))
        places = range(frame.count, frame.count + more)
        return more + sum(self._known.least(self._choices.items([node], at)) for at in places)

    def _value(self, choices: list[Node], depth: int, spot: _Spot) -> Iterator[_Spot]:
        """Write a minimal value; the one that was found last time comes first."""
        key = self._known.key(choices)
        known = self._known.values.get(key)
        if known is not None:
            yield from self._whole(known, spot)
        for found in self._fresh(choices, depth, spot):
            text = found.text[len(spot.text) :]
            self._known.values.setdefault(key, text)
            if text != known:
                yield found

    def _fresh(self, choices: list[Node], depth: int, spot: _Spot) -> Iterator[_Spot]:
        scalars = self._fresh_scalar(choices, spot)
        first = next(scalars, None)
        length = float("inf") if first is None else len(first.text) - len(spot.text)
        for least, container in self._containers(choices, depth):
            if first is not None and length <= least:
                yield first
                yield from scalars
                first = None
            yield from container(spot)
        if first is not None:
            yield first
            yield from scalars
        if depth < FRESH_DEPTH_MAX and choices in ([], [ANYTHING]):
            for bracket in (b"[", b"{"):
                yield from _chained(spot, self._fresh_container(bracket, [ANYTHING], depth))

    def _fresh_scalar(self, choices: list[Node], spot: _Spot) -> Iterator[_Spot]:
        simple = [texts(node) for node in choices]
        is_found = False
        if None not in simple:
            for text in sorted({text for every in simple for text in every or ()}, key=len):
                for whole in self._whole(text, spot):
                    is_found = True
                    yield whole
        if not is_found:
            yield from self._scalar("fresh", spot)

    def _whole(self, text: bytes, spot: _Spot) -> Iterator[_Spot]:
        """Write a value that must be whole behind its last byte: `0` may be half of `0.5`."""
        is_bare = text[-1:] not in b'"]}'
        for then in self._literal(text, spot):
            if not is_bare or is_whole(then.at):
                yield then

    def _string(self, choices: list[Node], begun: bytes, spot: _Spot) -> Iterator[_Spot]:
        """End a string in progress: as its schema has it, or filled up to its least length."""
        for text in sorted({text for node in choices for text in texts(node) or ()}, key=len):
            if text.startswith(begun):
                yield from self._literal(text[len(begun) :], spot)
        whole = spot
        inside: Inside = "escape" if _is_escape(begun) else "string"
        while inside == "escape" or _is_cut(begun):
            byte = whole.at.allowed()[:1]
            at = self._advance(whole.at, byte)
            if not byte or at is None:
                return
            whole, begun, inside = _Spot(whole.text + byte, at), begun + byte, "string"
        chars = _chars(begun)
        for least in sorted({int(node.get("minLength", 0)) for node in choices}):
            if least <= SHORTEST_BYTES_MAX:
                yield from self._literal(FILLER * (least - chars) + b'"', whole)
        yield from self._scalar("string", whole)

    def _containers(self, choices: list[Node], depth: int) -> list[tuple[float, _Stage]]:
        """Return how objects and lists can be written here, the shortest first."""
        if depth >= FRESH_DEPTH_MAX:
            return []
        found: list[tuple[float, _Stage]] = []
        for node in choices:
            for text in _fixed(node):
                found.append((len(text), partial(self._literal, text)))
            bracket = _BRACKETS.get(node.get("type", ""))
            if bracket and not node.keys() & {"const", "enum"}:
                stages = self._fresh_container(bracket, [node], depth)
                found.append((self._known.least([node]), partial(_chained, stages=stages)))
        return sorted(found, key=lambda one: one[0])

    def _fresh_container(self, bracket: bytes, choices: list[Node], depth: int) -> list[_Stage]:
        frame = Open(is_object=bracket == b"{")
        rest = partial(self._rest, frame, choices, depth + 1)
        return [partial(self._literal, bracket), rest]


def _fixed(node: Node) -> list[bytes]:
    """Return the objects and lists that a node names, shortest first."""
    values = [node["const"]] if "const" in node else node.get("enum", [])
    texts = [compact(value).encode() for value in values if isinstance(value, dict | list)]
    return sorted(texts, key=len)


def _is_escape(begun: bytes) -> bool:
    """Return whether a string in progress ends inside an escape."""
    return (len(begun) - len(begun.rstrip(b"\\"))) % 2 == 1


def _is_cut(begun: bytes) -> bool:
    """Return whether a text ends inside a character of several bytes."""
    try:
        begun.decode()
    except UnicodeDecodeError as error:
        return error.end == len(begun)
    return False


def _chars(begun: bytes) -> int:
    """Return the characters of a string in progress, without its quote; an escape is one."""
    text = begun[1:].decode("utf-8", "replace")
    return len(_ESCAPE.sub("x", text))


def _chained(spot: _Spot, stages: Sequence[_Stage]) -> Iterator[_Spot]:
    """Yield what all stages one after another make of `spot`; the last varies first."""
    if not stages:
        yield spot
        return
    running = [stages[0](spot)]
    while running:
        then = next(running[-1], None)
        if then is None:
            running.pop()
        elif len(running) == len(stages):
            yield then
        else:
            running.append(stages[len(running)](then))
