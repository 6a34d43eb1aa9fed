"""The compact form of an answer: a fixed object as the array of its values, without its keys.

In:  a template's schema, and the array's text as it grows.     Out: the schema that the model is
held to, and the object's text.
Pure. A fixed object is one whose keys are all known before it is written. Those stand in the
schema's order, so their names and punctuation need no tokens. What stands inside and is not fixed
(optional keys, anyOf, $ref ...) is JSON in both forms. Does not know: tokens, templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edged.engine.schema import ANNOTATIONS
from edged.engine.schema_size import compact

_DEFINITIONS = ("$defs", "definitions")
_OF_FIXED = ANNOTATIONS.union(
    ["type", "properties", "required", "additionalProperties"], _DEFINITIONS
)
_OF_LIST = ANNOTATIONS.union(["type", "items", "prefixItems", "minItems", "maxItems"])
_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class _AsItIs:
    """A value that is the same in both forms, with all that is in it."""

    def key(self, index: int) -> str:
        return ""

    def value(self, index: int) -> _Form:
        return self


@dataclass(frozen=True, slots=True)
class _List:
    """A list whose items may be fixed objects: the first ones each of its own kind."""

    first: tuple[_Form, ...]
    rest: _Form

    def key(self, index: int) -> str:
        return ""

    def value(self, index: int) -> _Form:
        return self.first[index] if index < len(self.first) else self.rest


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A fixed object: its keys, and what stands behind each."""

    names: tuple[str, ...]
    values: tuple[_Form, ...]

    def key(self, index: int) -> str:
        return f"{compact(self.names[index])}:"

    def value(self, index: int) -> _Form:
        return self.values[index]


_Form = _AsItIs | _List | _Fixed


def obstacle(schema: Any) -> str | None:
    """Return why answers to a schema have no compact form; None when they have one."""
    problem = _unfixed(schema)
    if problem is None and _names_itself(schema):
        return "$ref '#' means the whole answer; move what it is to mean under $defs"
    return problem


def wire_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the compact form; what is not fixed stays as it is.

    An object of n keys becomes an array of n values; definitions stay where `$ref` finds them.
    """
    kept = {key: schema[key] for key in _DEFINITIONS if key in schema}
    array: dict[str, Any] = _array(schema)
    return array | kept


def expanded(text: str, schema: dict[str, Any]) -> str:
    """Return the object's JSON text for the array's; compact where that is."""
    return Expander(schema).add(text)


def named_path(path: str, schema: dict[str, Any]) -> str:
    """Return a place of the array as the place in the object: `[3][0][1]` is `lines[0].item`.

    What lies inside a value that is the same in both forms keeps its path.
    """
    form, named, end = _form(schema), "", 0
    while found := _INDEX.match(path, end):
        index, end = int(found[1]), found.end()
        if isinstance(form, _Fixed):
            named += f".{form.names[index]}" if named else form.names[index]
        else:
            named += found[0]
        form = form.value(index)
    return named + path[end:]


@dataclass(slots=True)
class _Open:
    """A bracket that is open, and which value in it is being written."""

    form: _Form
    index: int = 0

    @property
    def value(self) -> _Form:
        return self.form.value(self.index)


class Expander:
    """Writes the object while the array grows: what comes in is told at once, keys in front."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._whole = _form(schema)
        self._open: list[_Open] = []
        self._is_in_string = False
        self._is_escaped = False

    def add(self, text: str) -> str:
        """Return the object's text for the next piece of the array's, cut anywhere."""
        return "".join(map(self._told, text))

    def _told(self, character: str) -> str:
        if self._is_in_string:
            self._follow_string(character)
        elif character == '"':
            self._is_in_string = True
        elif character in "[{":
            return self._enter(character)
        elif character in "]}":
            return self._leave(character)
        elif character == ",":
            return character + self._next_key()
        return character

    def _follow_string(self, character: str) -> None:
        if self._is_escaped:
            self._is_escaped = False
        elif character == "\\":
            self._is_escaped = True
        elif character == '"':
            self._is_in_string = False

    def _enter(self, bracket: str) -> str:
        form = self._open[-1].value if self._open else self._whole
        self._open.append(_Open(form))
        return "{" + form.key(0) if isinstance(form, _Fixed) else bracket

    def _leave(self, bracket: str) -> str:
        return "}" if isinstance(self._open.pop().form, _Fixed) else bracket

    def _next_key(self) -> str:
        here = self._open[-1]
        here.index += 1
        return here.form.key(here.index)


def _form(node: Any) -> _Form:
    if _is_fixed(node):
        known = node["properties"]
        return _Fixed(tuple(known), tuple(map(_form, known.values())))
    if _is_list(node):
        first = tuple(map(_form, node.get("prefixItems", [])))
        return _List(first, _form(node.get("items", True)))
    return _AsItIs()


def _array(node: Any) -> Any:
    if _is_fixed(node):
        values = [_array(value) for value in node["properties"].values()]
        count = len(values)
        size = {"minItems": count, "maxItems": count}
        return {"type": "array", "prefixItems": values, "items": False, **size}
    if not _is_list(node):
        return node
    copy = dict(node)
    if "items" in node:
        copy["items"] = _array(node["items"])
    if "prefixItems" in node:
        copy["prefixItems"] = [_array(item) for item in node["prefixItems"]]
    return copy


def _is_fixed(node: Any) -> bool:
    return _unfixed(node) is None


def _is_list(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and node.get("type") == "array"
        and node.keys() <= _OF_LIST
        and isinstance(node.get("prefixItems", []), list)
    )


def _unfixed(node: Any) -> str | None:
    """Return what leaves the keys of an object open; None when nothing does."""
    if not isinstance(node, dict):
        return "it must be a JSON object"
    if node.get("type") != "object":
        return f"type = {node.get('type')!r}; it must be 'object'"
    if others := sorted(node.keys() - _OF_FIXED):
        return f"the keyword {others[0]!r} beside properties; move it into a property, or remove it"
    known, required = node.get("properties"), node.get("required")
    if not isinstance(known, dict) or not known:
        return "properties must name at least one key"
    if not isinstance(required, list) or len(required) != len(known):
        return "required must name every key of properties, once"
    if missing := [name for name in known if name not in required]:
        return f"required lacks {', '.join(missing)}; a value that can be absent may be null"
    # Absent is false here: edged shuts an object with properties (see schema).
    if node.get("additionalProperties", False) is not False:
        return "additionalProperties must be false"
    return None


def _names_itself(node: Any) -> bool:
    if isinstance(node, dict):
        return node.get("$ref") == "#" or any(map(_names_itself, node.values()))
    return isinstance(node, list) and any(map(_names_itself, node))
