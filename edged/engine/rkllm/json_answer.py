"""Was that the JSON that the schema asks for? The runtime holds no model to a schema.

In:  what the model wrote.     Out: the value as compact JSON in the schema's order, or why not.
Pure. Spaces, fences and the order of keys are put right; values are never changed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from edged.engine import schema
from edged.engine.byte_matcher import ByteMatcher, byte_tokenizer
from edged.engine.constraints import grammar_of, parser_limits
from edged.engine.schema import Checked, Lengths
from edged.engine.schema_size import compact
from edged.errors import Refusal

_BRACKET = re.compile(r"[\[{]")


class Invalid(Exception):
    """The answer is not what the schema asks for; its text says why."""


class _Numeral(str):
    """A number as it was written: 1.50 stays 1.50."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """A schema that finished answers are held against.

    Attributes:
        text: the schema, as the model is told.
    """

    text: str
    checked: Checked
    start: ByteMatcher

    def valid(self, written: str) -> str:
        """Return the value in what the model wrote.

        Raises:
            Invalid: there is none, or the schema refuses it.
        """
        root = self.checked.schema
        answer = _written(_first_value(written), root, root)
        try:
            behind = self.start.after(answer.encode())
        except UnicodeEncodeError as error:
            raise Invalid("the answer has half of a surrogate pair in it") from error
        if behind is None or not behind.is_accepting:
            raise Invalid("the answer is JSON, and not what the schema asks for")
        return answer


def answer_check(text: str, lengths: Lengths) -> AnswerCheck:
    """Return the check of a schema.

    Raises:
        Refusal: `bad_schema`.
    """
    checked = schema.check(text, lengths)
    start = ByteMatcher.begin(byte_tokenizer(), grammar_of(checked.schema), parser_limits())
    if start is None:
        raise Refusal("bad_schema", "schema: it is too complex to hold an answer against it")
    return AnswerCheck(text, checked, start)


def _first_value(written: str) -> Any:
    """Return the first JSON value in a text; words and fences around it do not count."""
    text = written.strip().strip("`").removeprefix("json").strip()
    bracket = _BRACKET.search(text)
    starts = [0] if bracket is None else [0, bracket.start()]
    problems = []
    for start in starts:
        try:
            return _READER.raw_decode(text, start)[0]
        except RecursionError as error:
            raise Invalid("the answer is nested too deep") from error
        except ValueError as error:
            problems.append(str(error))
    raise Invalid(f"the answer is not JSON: {problems[-1]}")


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("an object names a key twice")
    return table


_READER = json.JSONDecoder(
    parse_float=_Numeral,
    parse_int=_Numeral,
    parse_constant=_no_constant,
    object_pairs_hook=_unique,
)


def _written(value: Any, node: Any, root: dict[str, Any]) -> str:
    """Return compact JSON; an object's keys stand in the order of `node`'s properties."""
    node = _target(node, value, root)
    if isinstance(value, dict):
        known = node.get("properties", {})
        names = [name for name in known if name in value]
        names += [name for name in value if name not in known]
        pairs = (f"{compact(key)}:{_written(value[key], known.get(key), root)}" for key in names)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        first, rest = node.get("prefixItems", []), node.get("items")
        kinds = [*first, *[rest] * len(value)]
        items = (_written(item, kind, root) for item, kind in zip(value, kinds, strict=False))
        return "[" + ",".join(items) + "]"
    return str(value) if isinstance(value, _Numeral) else compact(value)


def _target(node: Any, value: Any, root: dict[str, Any]) -> dict[str, Any]:
    """Return the subschema that says how `value` is ordered: behind references and choices."""
    for _ in range(schema.NESTING_MAX):
        if not isinstance(node, dict):
            return {}
        if "$ref" in node:
            node = schema.resolve(root, node["$ref"])
        elif choices := [*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])]:
            node = next((one for one in choices if _may_be(one, value)), None)
        else:
            return node
    return {}


def _may_be(node: Any, value: Any) -> bool:
    """Return whether a choice could be the one that `value` follows."""
    if not isinstance(node, dict) or "$ref" in node:
        return isinstance(node, dict)
    kinds = schema.types_of(node)
    if isinstance(value, dict):
        known: dict[str, Any] = node.get("properties", {})
        return "object" in kinds and known.keys() >= value.keys()
    return not isinstance(value, list) or "array" in kinds
