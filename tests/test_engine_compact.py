"""The compact form: what the model writes, and what is made of it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.compact import Expander, expanded, named_path, obstacle, wire_schema
from edged.engine.constraints import Constraints
from edged.engine.schema import Lengths
from edged.engine.schema_size import compact
from edged.engine.sim import N_VOCAB, SimVocabulary

VOCABULARY = SimVocabulary()

NULL = {"type": "null"}
OPEN = {"type": "object", "properties": {"a": NULL, "b": NULL}, "additionalProperties": False}


def fixed(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    required = {"required": list(properties), "additionalProperties": False}
    return {"type": "object", "properties": properties, **required, **more}


ORDER = fixed(
    {
        "dock": {"type": ["integer", "null"], "minimum": 1, "maximum": 99},
        "lines": {
            "type": "array",
            "items": fixed({"item": {"type": "string", "maxLength": 4}, "count": NULL}),
            "maxItems": 3,
        },
        "note": {"anyOf": [NULL, fixed({"x": NULL})]},
        "pair": {"type": "array", "prefixItems": [fixed({"a": NULL}), NULL], "items": False},
        "of": fixed({"é": NULL, 'q"': {"const": {"k": [1, 2]}}}),
        "open": OPEN,
    }
)

leaves = st.sampled_from(
    [
        NULL,
        {"type": "boolean"},
        {"type": "integer", "minimum": -40, "maximum": 4000},
        {"type": "string", "maxLength": 6},
        {"enum": ["low", "a,b", "]}", '"', None, 7]},
        {"const": {"x": ["[", {"y": None}]}},
        {"type": ["string", "null"], "pattern": "^P[0-9]{2}$"},
        {"anyOf": [NULL, fixed({"in": NULL, "both": {"type": "boolean"}})]},
        {"$ref": "#/$defs/pair"},
        OPEN,
    ]
)
PAIR = {"$defs": {"pair": fixed({"left": NULL, "right": {"type": "boolean"}})}}
names = st.sampled_from(["dock", "é", 'a"b', "", "[", "{,}", ":", "a\\"]) | st.text(max_size=3)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(names, inner, min_size=1, max_size=4).map(fixed)


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.builds(lambda items: {"type": "array", "items": items, "maxItems": 3}, inner)
    tuples = st.builds(
        lambda first, rest: {
            "type": "array", "prefixItems": first, "items": rest,
            "minItems": len(first), "maxItems": len(first) + 1,
        },
        st.lists(inner, min_size=1, max_size=2), inner,
    )  # fmt: skip
    return objects(inner) | lists | tuples


# A lone surrogate is no text that UTF-8 could carry.
schemas = objects(st.recursive(leaves, grown, max_leaves=6)).map(lambda schema: schema | PAIR)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
awkward = st.sampled_from(['"', "\\", '\\"', "],[", "{},", "é🚚", "\n\t", '"],"'])


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Return the values of the schemas above."""
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    if "$ref" in schema:
        return values(PAIR["$defs"]["pair"])
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    kind = schema["type"]
    if kind == "object":
        members = {name: values(inner) for name, inner in schema["properties"].items()}
        required = schema.get("required", [])
        optional = {name: inner for name, inner in members.items() if name not in required}
        given = st.fixed_dictionaries({name: members[name] for name in required}, optional=optional)
        # Drawn in any order; a model writes the schema's.
        return given.map(lambda value: {name: value[name] for name in members if name in value})
    if kind == "array":
        first = st.tuples(*map(values, schema.get("prefixItems", []))).map(list)
        return st.builds(
            lambda one, two: one + two, first, st.lists(values(schema["items"]), max_size=1)
        )
    if "pattern" in schema:
        return st.sampled_from(["P12", "P00", None])
    plain = {"null": st.none(), "boolean": st.booleans(), "integer": st.integers(-40, 4000)}
    return plain.get(kind, texts | awkward)


def written(value: Any, schema: Any) -> Any:
    """Return the value as a model writes it: fixed objects, and no others, as arrays."""
    if "required" in schema:
        return [written(value[name], inner) for name, inner in schema["properties"].items()]
    if isinstance(value, list) and schema.get("type") == "array":
        kinds = [*schema.get("prefixItems", []), schema.get("items", True)]
        return [written(item, kinds[min(at, len(kinds) - 1)]) for at, item in enumerate(value)]
    return value


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    schema = draw(schemas)
    return schema, draw(values(schema))


@given(answers(), st.booleans())
def test_a_compact_answer_becomes_the_object_in_the_schemas_order(
    answer: tuple[dict[str, Any], Any], is_ascii: bool
) -> None:
    schema, value = answer
    array = written(value, schema)
    jsonschema.validate(array, wire_schema(schema))
    text = json.dumps(array, ensure_ascii=is_ascii, separators=(",", ":"))
    assert compact(json.loads(expanded(text, schema))) == compact(value)


@given(answers(), st.data())
def test_wherever_the_text_is_cut_the_pieces_join_to_the_same(
    answer: tuple[dict[str, Any], Any], data: st.DataObject
) -> None:
    schema, value = answer
    text = compact(written(value, schema))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    expander = Expander(schema)
    assert "".join(map(expander.add, pieces)) == compact(value)


@given(schema=schemas, seed=st.integers(0, 2**32))
def test_whatever_the_array_schema_allows_expands_to_a_valid_answer_within_its_bounds(
    schema: dict[str, Any], seed: int
) -> None:
    constraints = Constraints(VOCABULARY.guidance, N_VOCAB, Lengths())
    constraint = constraints.constraint(compact(wire_schema(schema)))
    matcher, random, tokens = constraint.matcher(), np.random.default_rng(seed), list[int]()
    while True:
        forced = matcher.ahead()
        matcher.take(*forced)
        tokens += forced
        if matcher.is_complete:
            break
        tokens.append(int(random.choice(np.flatnonzero(matcher.allowed().mask()))))
        matcher.take(tokens[-1])
    text = b"".join(map(VOCABULARY.piece, tokens)).decode(errors="replace")
    jsonschema.validate(json.loads(expanded(text, schema)), schema)
    assert constraint.answer_tokens_max is not None
    assert constraint.answer_tokens_min <= len(tokens) <= constraint.answer_tokens_max


def test_fixed_objects_become_arrays_and_nothing_else_does() -> None:
    def array(*values: Any) -> dict[str, Any]:
        size = {"minItems": len(values), "maxItems": len(values)}
        return {"type": "array", "prefixItems": list(values), "items": False, **size}

    of = ORDER["properties"]
    item = array({"type": "string", "maxLength": 4}, NULL)
    assert wire_schema(ORDER) == array(
        of["dock"],
        {"type": "array", "items": item, "maxItems": 3},
        of["note"],
        {"type": "array", "prefixItems": [array(NULL), NULL], "items": False},
        array(NULL, {"const": {"k": [1, 2]}}),
        OPEN,
    )


def test_definitions_stay_where_references_find_them() -> None:
    assert wire_schema(fixed({"p": {"$ref": "#/$defs/pair"}}) | PAIR)["$defs"] == PAIR["$defs"]


def test_an_answer_is_told_as_soon_as_it_is_written() -> None:
    expander = Expander(ORDER)
    pieces = ['[6,[["P', '",null', "],", '["]', '",null]],{"x":nu', 'll},[[null],null],[null,{"k":']
    assert list(map(expander.add, [*pieces, '[1,2]}],{"b":null}]'])) == [
        '{"dock":6,"lines":[{"item":"P',
        '","count":null',
        "},",
        '{"item":"]',
        '","count":null}],"note":{"x":nu',
        'll},"pair":[{"a":null},null],"of":{"é":null,"q\\"":{"k":',
        '[1,2]}},"open":{"b":null}}',
    ]


def test_a_schema_of_nothing_fixed_is_the_same_in_both_forms() -> None:
    assert wire_schema(OPEN) == OPEN
    assert expanded('{"a":null,"b":[1,{"c":"d"}]}', OPEN) == '{"a":null,"b":[1,{"c":"d"}]}'


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", ""),
        ("[0]", "dock"),
        ("[1]", "lines"),
        ("[1][2]", "lines[2]"),
        ("[1][2][0]", "lines[2].item"),
        ("[2].x", "note.x"),
        ("[3][0][0]", "pair[0].a"),
        ("[3][1]", "pair[1]"),
        ("[4][1].k[1]", 'of.q".k[1]'),
    ],
)
def test_a_place_in_the_array_has_its_name_in_the_object(path: str, name: str) -> None:
    assert named_path(path, ORDER) == name


@pytest.mark.parametrize("more", [{}, {"title": "t"}, {"description": "d"}, {"$defs": {}}])
def test_an_object_of_known_keys_has_a_compact_form(more: dict[str, Any]) -> None:
    assert obstacle(fixed({"a": NULL}, **more)) is None


def test_an_object_that_does_not_speak_of_further_keys_has_none_here_and_so_is_fixed() -> None:
    assert obstacle({"type": "object", "properties": {"a": NULL}, "required": ["a"]}) is None


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({}, "type"),
        ({"type": "array", "items": NULL}, "type = 'array'"),
        (fixed({"a": NULL}, type=["object", "null"]), "type"),
        (fixed({}), "properties"),
        (fixed({"a": NULL}) | {"properties": []}, "properties"),
        (fixed({"a": NULL, "b": NULL}, required=["a"]), "required"),
        (fixed({"a": NULL, "b": NULL}, required=["a", "c"]), "required lacks b"),
        (fixed({"a": NULL}, required=["a", "b"]), "required"),
        (fixed({"a": NULL}, required=None), "required"),
        (fixed({"a": NULL}, additionalProperties=True), "additionalProperties"),
        (fixed({"a": NULL}, additionalProperties=NULL), "additionalProperties"),
        (fixed({"a": NULL}, anyOf=[{}]), "anyOf"),
        (fixed({"a": NULL}, patternProperties={}), "patternProperties"),
        (fixed({"a": {"type": "array", "items": {"$ref": "#"}}}), "$ref"),
        ([], "object"),
    ],
)
def test_what_leaves_the_keys_open_is_named(schema: Any, word: str) -> None:
    assert word in (obstacle(schema) or "")
