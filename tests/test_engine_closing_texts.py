"""A text that is cut: where it stands, its shortest closing, and what the closing wrote."""

from __future__ import annotations

import pytest

from edged.engine.filled import filled
from edged.engine.partial_json import read
from tests.schema_fixtures import compiled

pytestmark = pytest.mark.model


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ('{"a":-', '1,"b":""}'),
        ('{"a":1.', '0,"b":""}'),
        ('{"a":0,"b":"x\\', '""}'),
        ('{"a":0,"b":"\u00e9'.encode()[:-1].decode("latin-1"), '\x80"}'),
        ('{"a', '":0,"b":""}'),
        ('{"a":0,', '"b":""}'),
        ('{"a":0,"b"', ':""}'),
        ('{"a":0,"b":"","c":n', "ull}"),
        ('{"a":0,"b":"","c":{"d":[', "true]}}"),
        ('{"a":0,"b":"","c":{"d":[true', "]}}"),
    ],
)
def test_the_shortest_closing_of_a_text_is_found(text: str, closing: str) -> None:
    inner = {
        "type": "object",
        "properties": {"d": {"type": "array", "items": {"const": True}, "minItems": 1}},
        "required": ["d"],
    }
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "number"},
            "b": {"type": "string"},
            "c": {"anyOf": [{"type": "null"}, inner]},
        },
        "required": ["a", "b"],
    }
    closings = compiled(schema).closings
    assert closings is not None
    assert bytes(closings.tokens(text.encode("latin-1")) or ()) == closing.encode("latin-1")


@pytest.mark.parametrize(
    ("answer", "chosen", "paths"),
    [
        ('{"a":1,"b":2}', '{"a":', ("a", "b")),
        ('{"a":1,"b":2}', '{"a":1', ("b",)),
        ('{"a":1,"b":2}', '{"a":1,"b":2}', ()),
        ('{"a":"","b":""}', '{"a":"', ("a", "b")),
        ('{"a":"x","b":""}', '{"a":"x', ("b",)),
        ('{"a":{"b":1,"c":[]}}', '{"a":{"b":1', ("a.c",)),
        ('{"a":{"b":1,"c":[]}}', '{"a":', ("a",)),
        ('{"a":[1,{"b":2},3]}', '{"a":[1,{', ("a[1].b", "a[2]")),
        ("[1,2,[3,4]]", "[1", ("[1]", "[2]")),
        ("[1,2,[3,4]]", "[1,2,[3,", ("[2][1]",)),
        ('{"a\\"b":1}', "{", ('a"b',)),
        ("7", "", ("",)),
        ("{}", "", ()),
    ],
)
def test_what_the_closing_wrote_is_named(answer: str, chosen: str, paths: tuple[str, ...]) -> None:
    assert filled(answer.encode(), len(chosen)) == paths


@pytest.mark.parametrize(
    ("text", "place", "depth"),
    [
        ("", "fresh", 0),
        ("{", "after", 1),
        ('{"a', "key", 1),
        ('{"a\\', "key_escape", 1),
        ('{"a"', "colon", 1),
        ('{"a":', "fresh", 1),
        ('{"a":1', "bare", 1),
        ('{"a":1,', "key", 1),
        ('{"a":[', "after", 2),
        ('{"a":[1,', "fresh", 2),
        ('{"a":["{[', "string", 2),
        ('{"a":["\\', "escape", 2),
        ('{"a":["x"]', "after", 1),
    ],
)
def test_where_a_cut_text_stands_is_read(text: str, place: str, depth: int) -> None:
    found = read(text.encode())
    assert (found.place, len(found.frames)) == (place, depth)
