"""Is this JSON Schema one that an answer can be held to, and how long can the answer get?

In:  schema text from a device or a template.     Out: `Checked`: the schema with every length
bounded, the shortest answer, the bytes of the longest.
Pure. llguidance skips keywords it does not know and accepts schemas that never end (1.9.1), so
both are refused here, by name. Does not know: tokens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from edged.engine.schema_size import Sizes
from edged.errors import Refusal

NESTING_MAX = 24
# Whoever follows references can come through every definition once, and takes some calls for each
# level: Python ends at a thousand.
LEVELS_MAX = 128
# llguidance holds each against each: 100 took 0.06 s, 200 took 0.5 s.
PATTERN_PROPERTIES_MAX = 64
SHORTEST_BYTES_MAX = 65_536
INTEGER_MAX = 2**53 - 1  # Source: RFC 8259 section 6, what JSON readers agree on.
NUMBER_MAX = 10**12
LIMIT_MAX = 10**15
COUNT_MAX = 10**9
NUMBER_STEP = 1e-6

ANNOTATIONS = frozenset(
    [
        "title",
        "description",
        "default",
        "examples",
        "$comment",
        "$id",
        "$schema",
        "deprecated",
        "readOnly",
        "writeOnly",
    ]
)
_OF_OBJECT = [
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "minProperties",
    "maxProperties",
]
_OF_ARRAY = ["items", "prefixItems", "minItems", "maxItems"]
_OF_STRING = ["minLength", "maxLength", "pattern", "format"]
_OF_NUMBER = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
_COUNTS = frozenset(
    ["minProperties", "maxProperties", "minItems", "maxItems", "minLength", "maxLength"]
)
_OF_TYPE = {
    "object": _OF_OBJECT,
    "array": _OF_ARRAY,
    "string": _OF_STRING,
    "number": _OF_NUMBER,
}
_ANY_TYPE = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions"]
KEYWORDS = frozenset(_ANY_TYPE).union(*_OF_TYPE.values())
TYPES = frozenset(["object", "array", "string", "number", "integer", "boolean", "null"])


@dataclass(frozen=True, slots=True)
class Lengths:
    """What a schema that names no bound gets.

    Attributes:
        schema_bytes_max: largest schema text looked at.
        string_chars_max, array_items_max: bounds of strings and arrays.
    """

    schema_bytes_max: int = 16_384
    string_chars_max: int = 256
    array_items_max: int = 32


@dataclass(frozen=True, slots=True)
class Checked:
    """A schema that an answer can be held to.

    Attributes:
        schema: the same, with every string, array and number bounded.
        shortest: a text no longer than the shortest answer.
        bytes_max: bytes of the longest answer; None when the schema does not bound it.
    """

    schema: dict[str, Any]
    shortest: str
    bytes_max: int | None


def check(text: str, lengths: Lengths) -> Checked:
    """Return the schema in `text`, bounded and measured.

    Raises:
        Refusal: `bad_schema`, with a sentence naming the place and the key.
    """
    schema = _parsed(text, lengths)
    walk = _Walk(schema, lengths)
    bounded = walk.node(schema, "schema", 0, closed=True)
    if walk.levels > LEVELS_MAX:
        raise _bad(
            f"schema and its definitions have {walk.levels} levels together; at most {LEVELS_MAX} "
            "are possible: make the definitions fewer or flatter"
        )
    sizes = Sizes(bounded)
    shortest = sizes.shortest()
    if shortest is None:
        raise _bad("schema can never end: every answer would contain another one without end")
    if shortest.length > SHORTEST_BYTES_MAX:
        raise _bad(
            f"schema asks for an answer of at least {shortest.length} bytes; "
            f"at most {SHORTEST_BYTES_MAX} are possible"
        )
    return Checked(bounded, str(shortest), sizes.bytes_max())


def _parsed(text: str, lengths: Lengths) -> dict[str, Any]:
    size_bytes = len(text.encode(errors="surrogatepass"))  # half a pair is refused below
    if size_bytes > lengths.schema_bytes_max:
        raise _bad(f"schema has {size_bytes} bytes; at most {lengths.schema_bytes_max} are allowed")
    try:
        schema = json.loads(text, parse_constant=_finite, parse_float=_finite)
        json.dumps(schema, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise _bad(f"schema is not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise _bad(f"schema is a JSON {_json_type(schema)}; a JSON Schema is an object")
    return schema


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number that JSON readers agree on")
    return number


class _Walk:
    """Checks every subschema and returns a bounded copy; places are named like schema.items."""

    def __init__(self, root: dict[str, Any], lengths: Lengths) -> None:
        self._root = root
        self._lengths = lengths
        self._deepest = 0
        self._defined_levels = 0

    @property
    def levels(self) -> int:
        """Return how deep the schema and its definitions are, one behind the other."""
        return self._deepest + self._defined_levels

    def node(self, node: Any, place: str, depth: int, *, closed: bool) -> Any:
        """Return the bounded copy of one subschema; open objects are shut where `closed`."""
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise _bad(f"{place} is a JSON {_json_type(node)}; a subschema is an object")
        if depth > NESTING_MAX:
            raise _bad(f"{place} is nested deeper than {NESTING_MAX} levels")
        self._deepest = max(self._deepest, depth)
        for key in node:
            if key not in KEYWORDS and key not in ANNOTATIONS:
                raise _bad(f"{place} has the keyword {key!r}, which is not supported")
        kept = {key: value for key, value in node.items() if key not in ANNOTATIONS}
        self._check_values(kept, place)
        closed = closed and "allOf" not in kept
        copy = self._with_children(kept, place, depth, closed=closed)
        return _bounded(copy, self._lengths, closed=closed)

    def _check_values(self, node: dict[str, Any], place: str) -> None:
        for key, value in node.items():
            if key in _COUNTS and not (_is_integer(value) and 0 <= value <= COUNT_MAX):
                raise _bad(f"{place}.{key} = {value!r}; it must be an integer of 0 to {COUNT_MAX}")
            if key in _OF_NUMBER and not (_is_number(value) and abs(value) <= LIMIT_MAX):
                raise _bad(f"{place}.{key} = {value!r}; it must be a number within +-{LIMIT_MAX}")
        if node.get("multipleOf", 1) <= 0:
            raise _bad(f"{place}.multipleOf = {node['multipleOf']!r}; it must be over 0")
        if node.get("type") == []:
            raise _bad(f"{place}.type must be a name or a list of at least one")
        for kind in types_of(node):
            if not isinstance(kind, str) or kind not in TYPES:
                raise _bad(f"{place}.type = {kind!r}; allowed: {', '.join(sorted(TYPES))}")
        if "enum" in node and not (isinstance(node["enum"], list) and node["enum"]):
            raise _bad(f"{place}.enum must be a list of at least one value")
        if not all(isinstance(name, str) for name in _list(node, "required", place)):
            raise _bad(f"{place}.required must be a list of names")
        for key in ("pattern", "format"):
            if not isinstance(node.get(key, ""), str):
                raise _bad(f"{place}.{key} must be a string")
        self._check_reference(node, place)
        self._check_pattern_properties(node, place)

    def _check_pattern_properties(self, node: dict[str, Any], place: str) -> None:
        table = node.get("patternProperties")
        count = len(table) if isinstance(table, dict) else 0
        if count > PATTERN_PROPERTIES_MAX:
            raise _bad(
                f"{place}.patternProperties has {count} patterns; at most {PATTERN_PROPERTIES_MAX} "
                "are possible: let one pattern stand for many"
            )

    def _check_reference(self, node: dict[str, Any], place: str) -> None:
        if "$ref" not in node:
            return
        if not isinstance(node["$ref"], str) or resolve(self._root, node["$ref"]) is None:
            raise _bad(
                f"{place}.$ref = {node['$ref']!r}; only '#', '#/$defs/NAME' and "
                "'#/definitions/NAME' of the schema itself are looked up"
            )

    def _with_children(
        self, node: dict[str, Any], place: str, depth: int, *, closed: bool
    ) -> dict[str, Any]:
        def child(value: Any, where: str) -> Any:
            return self.node(value, f"{place}.{where}", depth + 1, closed=closed)

        copy = dict(node)
        for key in ("items", "additionalProperties"):
            if key in node:
                copy[key] = child(node[key], key)
        for key in ("properties", "patternProperties"):
            if key in node:
                copy[key] = _each_named(node[key], f"{place}.{key}", key, child)
        for key in ("$defs", "definitions"):
            if key in node:
                each = partial(self._defined, child, depth)
                copy[key] = _each_named(node[key], f"{place}.{key}", key, each)
        for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if key in node:
                values = _list(node, key, place)
                copy[key] = [child(value, f"{key}[{n}]") for n, value in enumerate(values)]
        return copy

    def _defined(self, child: Callable[[Any, str], Any], depth: int, value: Any, where: str) -> Any:
        """Return a definition; its levels are counted apart."""
        around, self._deepest = self._deepest, depth
        copy = child(value, where)
        self._defined_levels += self._deepest - depth
        self._deepest = around
        return copy


def resolve(root: dict[str, Any], reference: str) -> Any:
    """Return the subschema that a local reference names, or None."""
    if reference == "#":
        return root
    head, _, name = reference.rpartition("/")
    table = root.get(head.removeprefix("#/")) if head in ("#/$defs", "#/definitions") else None
    return table.get(name) if isinstance(table, dict) else None


def types_of(node: dict[str, Any]) -> list[Any]:
    """Return the types a subschema names, as a list."""
    kinds = node.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def _bounded(node: dict[str, Any], lengths: Lengths, *, closed: bool) -> dict[str, Any]:
    if "enum" in node or "const" in node:
        return node
    if "type" not in node:
        node = _with_implied_type(node)
    kinds = types_of(node)
    bound = dict(node)
    if "string" in kinds:
        bound.setdefault("maxLength", max(lengths.string_chars_max, node.get("minLength", 0)))
    if "array" in kinds:
        bound.setdefault("maxItems", max(lengths.array_items_max, node.get("minItems", 0)))
    if "number" in kinds:
        _bound_number(bound, NUMBER_MAX)
        bound.setdefault("multipleOf", NUMBER_STEP)
    elif "integer" in kinds:
        _bound_number(bound, INTEGER_MAX)
    if "object" in kinds and "properties" in node and "patternProperties" not in node and closed:
        bound.setdefault("additionalProperties", False)
    return bound


def _with_implied_type(node: dict[str, Any]) -> dict[str, Any]:
    # Without `type` any JSON value would do, and {"properties": ...} could be answered by 7.
    kinds = [kind for kind, keys in _OF_TYPE.items() if any(key in node for key in keys)]
    return {**node, "type": kinds[0]} if len(kinds) == 1 else node


def _bound_number(node: dict[str, Any], limit: int) -> None:
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    if low is None:
        node["minimum"] = -limit if high is None else min(-limit, 10 * -abs(int(high)))
    if high is None:
        node["maximum"] = limit if low is None else max(limit, 10 * abs(int(low)))


def _each_named(
    table: Any, place: str, key: str, child: Callable[[Any, str], Any]
) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise _bad(f"{place} is a JSON {_json_type(table)}; it must be an object")
    return {name: child(value, f"{key}.{name}") for name, value in table.items()}


def _list(node: dict[str, Any], key: str, place: str) -> list[Any]:
    value = node.get(key, [])
    if not isinstance(value, list):
        raise _bad(f"{place}.{key} is a JSON {_json_type(value)}; it must be a list")
    return value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json_type(value: Any) -> str:
    names: Iterator[str] = (
        name
        for kind, name in (
            (bool, "boolean"),
            (dict, "object"),
            (list, "list"),
            (str, "string"),
            (type(None), "null"),
        )
        if isinstance(value, kind)
    )
    return next(names, "number")


def _bad(detail: str) -> Refusal:
    return Refusal("bad_schema", detail)
