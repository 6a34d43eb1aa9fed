from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edged.engine.pattern import width
from edged.engine.schema import Lengths, check
from edged.errors import Refusal

LENGTHS = Lengths()
OPEN: dict[str, Any] = {"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"]}
TEMPLATES = sorted(Path(__file__).parent.parent.glob("edged/models/*/templates/*.toml"))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{", "not JSON"),
        ("[]", "JSON list"),
        ('{"const": "\ud800"}', "not JSON"),
        ("true", "JSON boolean"),
        ({"foo": 1}, "'foo'"),
        ({"type": "object", "properties": {"a": {"nullable": True}}}, "schema.properties.a"),
        ({"type": "strin"}, "'strin'"),
        ({"type": "string", "maxLength": -1}, "maxLength"),
        ({"type": "string", "maxLength": "4"}, "maxLength"),
        ({"type": "integer", "minimum": "1"}, "minimum"),
        ({"type": "string", "pattern": 4}, "pattern"),
        ({"enum": []}, "enum"),
        ({"type": []}, "schema.type"),
        ({"required": "a"}, "required"),
        ({"required": [1]}, "required"),
        ({"properties": []}, "properties"),
        ({"items": 4}, "schema.items"),
        ({"anyOf": {}}, "anyOf"),
        ({"$ref": "http://a/b"}, "$ref"),
        ({"$ref": "#/$defs/none", "$defs": {}}, "$ref"),
        ({"$ref": "#"}, "never end"),
        ({"type": "array", "minItems": 1, "items": {"$ref": "#"}}, "never end"),
        (OPEN, "never end"),
        ({"type": "array", "minItems": 10**9, "items": {"type": "null"}}, "at least"),
        ({"type": "string", "title": "x" * 20_000}, "bytes"),
        ({"patternProperties": {f"^{n}$": {} for n in range(65)}}, "at most 64"),
        ({"patternProperties": 65}, "patternProperties"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused_by_name(schema: Any, words: str) -> None:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    with pytest.raises(Refusal) as refused:
        check(text, LENGTHS)
    assert refused.value.reason == "bad_schema"
    assert words in refused.value.detail


def led(levels: int) -> dict[str, Any]:
    """Return a schema of so many levels: each definition leads to the next one."""
    inner = range(levels - 2)
    steps: dict[str, Any] = {
        f"d{n}": {"properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}}} for n in inner[::2]
    }
    steps |= {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}]} for n in inner[1::2]}
    return {"$ref": "#/$defs/d0", "$defs": {**steps, f"d{levels - 2}": {"type": "null"}}}


def test_references_that_lead_deeper_than_a_thread_can_follow_are_refused() -> None:
    with pytest.raises(Refusal, match="levels together; at most 128"):
        check(json.dumps(led(250)), LENGTHS)


def test_mutual_recursion_without_an_end_is_refused() -> None:
    one, two = (
        {"type": "object", "properties": {"x": {"$ref": f"#/$defs/{other}"}}, "required": ["x"]}
        for other in ("two", "one")
    )
    with pytest.raises(Refusal, match="never end"):
        check(json.dumps({"$ref": "#/$defs/one", "$defs": {"one": one, "two": two}}), LENGTHS)


def test_a_schema_nested_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(40):
        schema = {"type": "array", "items": schema}
    with pytest.raises(Refusal, match="nested"):
        check(json.dumps(schema), LENGTHS)


def test_text_nested_beyond_the_json_reader_is_refused() -> None:
    with pytest.raises(Refusal, match="not JSON"):
        check("[" * 16_000, LENGTHS)


def test_a_small_schema_of_an_enormous_answer_is_refused_quickly() -> None:
    defs = {
        f"d{n}": {"type": "array", "minItems": 9, "items": {"$ref": f"#/$defs/d{n + 1}"}}
        for n in range(40)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**defs, "d40": {"type": "null"}}}
    with pytest.raises(Refusal, match="at least"):
        check(json.dumps(schema), LENGTHS)


@pytest.mark.parametrize(
    ("schema", "key", "value"),
    [
        ({"type": "string"}, "maxLength", 256),
        ({"type": "string", "minLength": 300}, "maxLength", 300),
        ({"type": "string", "maxLength": 9}, "maxLength", 9),
        ({"type": "array", "items": {"type": "null"}}, "maxItems", 32),
        ({"type": "integer"}, "maximum", 2**53 - 1),
        ({"type": "number"}, "multipleOf", 1e-6),
        ({"type": "object", "properties": {}}, "additionalProperties", False),
        ({"properties": {}}, "type", "object"),
        ({"maxLength": 4}, "type", "string"),
    ],
)
def test_what_has_no_bound_gets_one(schema: dict[str, Any], key: str, value: Any) -> None:
    assert check(json.dumps(schema), LENGTHS).schema[key] == value


def test_annotations_are_allowed_and_dropped() -> None:
    schema = {"title": "t", "type": "null", "$comment": "c", "examples": [None]}
    assert check(json.dumps(schema), LENGTHS).schema == {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "shortest", "bytes_max"),
    [
        ({"type": "null"}, "null", 5),
        ({"type": "boolean"}, "true", 5),
        ({"const": {"a": 1}}, '{"a":1}', 7),
        ({"enum": ["long one", "s", 7]}, "7", 10),
        ({"type": "integer", "minimum": 10, "maximum": 999}, "00", 4),
        ({"type": "string", "maxLength": 3}, '""', 14),
        ({"type": "string", "pattern": "^P[0-9]{4,6}$"}, '"aaaaa"', 30),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 3},
         "[null,null]", 20),
        ({"type": "object", "properties": {"a": {"type": "null"}}}, "{}", 12),
        ({"anyOf": [{"type": "boolean"}, {"const": 1}]}, "1", 5),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "minItems": 2},
         "[1,2]", None),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": False}, "[]", 4),
        ({"type": "object"}, "{}", None),
        ({}, "0", None),
        ({"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}}]}, "[]", None),
    ],
)  # fmt: skip
def test_the_bounds_of_the_answer_are_known(
    schema: dict[str, Any], shortest: str, bytes_max: int | None
) -> None:
    checked = check(json.dumps(schema), LENGTHS)
    assert (checked.shortest, checked.bytes_max) == (shortest, bytes_max)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_shipped_template_is_bounded(path: Path) -> None:
    template = tomllib.loads(path.read_text())
    checked = check(template["schema"], LENGTHS)
    example = len(template["example"]["answer"].encode())
    assert checked.bytes_max is not None
    assert len(checked.shortest) <= example <= checked.bytes_max < 400


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^abc$", (3, 3)),
        ("^[A-Z]{2}[0-9]{6}$", (8, 8)),
        ("^P[0-9]{4,6}$", (5, 7)),
        ("^(ab|c)?d*$", (0, None)),
        (r"^\d{2}\.\d+$", (4, None)),
        ("^(?:a|bb){2}$", (2, 4)),
        ("^[]a]x$", (2, 2)),
        ("abc", (0, None)),
        ("^a|b$", (0, None)),
        ("^(?=a)b$", (0, None)),
        ("^a{2,3}?$", (2, 3)),
        ("^(a$", (0, None)),
    ],
)
def test_the_width_of_a_pattern_is_found_or_left_open(
    pattern: str, expected: tuple[int, int | None]
) -> None:
    assert width(pattern) == expected
