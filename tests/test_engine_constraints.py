from __future__ import annotations

import contextlib
import json
import threading
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.constraints import Constraint, Constraints, MatcherFailed
from edged.engine.schema import Lengths
from edged.engine.sim import END, N_VOCAB, SimVocabulary
from edged.errors import Refusal

VOCABULARY = SimVocabulary()
TOKENS_MAX = 4000


def compiled(schema: Any, lengths: Lengths | None = None) -> Constraint:
    constraints = Constraints(VOCABULARY.guidance, N_VOCAB, lengths or Lengths())
    return constraints.constraint(json.dumps(schema))


def answer(constraint: Constraint, seed: int) -> bytes:
    """Return an answer of random allowed tokens."""
    matcher, random, tokens = constraint.matcher(), np.random.default_rng(seed), list[int]()
    while len(tokens) < TOKENS_MAX:
        forced = matcher.ahead()
        matcher.take(*forced)
        tokens += forced
        if matcher.is_complete:
            break
        token = int(random.choice(np.flatnonzero(matcher.allowed().mask())))
        if VOCABULARY.is_end(token):
            break
        matcher.take(token)
        tokens.append(token)
    return b"".join(map(VOCABULARY.piece, tokens))


scalars = st.sampled_from(
    [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "integer", "minimum": -3, "maximum": 40},
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "number", "multipleOf": 0.25, "minimum": -2, "maximum": 2},
        {"type": "string"},
        {"type": "string", "minLength": 2, "maxLength": 5},
        {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{1,3}$"},
        {"type": "string", "format": "date"},
        {"type": ["integer", "null"], "minimum": 1, "maximum": 99},
        {"enum": ["open", "closed", 3, None]},
        {"const": {"k": [1, "é"]}},
    ]
)


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["dock", "pallet", "é", 'a"b', "n"])
    return st.one_of(
        st.builds(
            lambda items, low, more: {
                "type": "array", "items": items, "minItems": low, "maxItems": low + more
            },
            inner, st.integers(0, 2), st.integers(0, 2),
        ),
        st.builds(
            lambda members, first: {
                "type": "object", "properties": members, "required": sorted(members)[:first]
            },
            st.dictionaries(names, inner, max_size=4), st.integers(0, 4),
        ),
        st.builds(lambda one, two: {"anyOf": [one, two]}, inner, inner),
    )  # fmt: skip


schemas = st.recursive(scalars, grown, max_leaves=6)


@given(schema=schemas, seed=st.integers(0, 2**32))
def test_every_answer_is_valid_compact_and_within_its_bounds(schema: Any, seed: int) -> None:
    constraint = compiled(schema)
    text = answer(constraint, seed)
    value = json.loads(text)
    jsonschema.validate(value, schema)
    assert b" " not in text.split(b'"')[0]
    assert constraint.answer_tokens_max is not None
    assert len(text) <= constraint.answer_tokens_max
    # What suffices; in a union with a pattern some answer may be shorter.
    assert 1 <= constraint.answer_tokens_min <= constraint.answer_tokens_max


texts = st.sampled_from(["a", "", "é", '"', "\ud800", "n" * 40])
numbers = st.sampled_from([0, 1, -1, 3, 0.5, 1e-9, 1e14, -1e14, 2**53, 10**400, 7.25, True])
NEAR_MISS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(
        ["string", "number", "integer", "object", "array", "null", "strin", 4, [], {}]
    ),
    "enum": st.lists(st.one_of(texts, numbers, st.none()), max_size=3),
    "const": st.one_of(texts, numbers, st.lists(numbers, max_size=2)),
    "required": st.lists(texts, max_size=2),
    "pattern": st.sampled_from(["^a+$", "(", "[a-z]{2,3}", "^(a|b)*$", "\\d", "a{999}", "^[^]$"]),
    "format": st.sampled_from(["date", "email", "uuid", "x"]),
    "$ref": st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/definitions/a", "x"]),
    **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], numbers),
    "multipleOf": numbers,
    **dict.fromkeys(["minItems", "maxItems", "minLength", "maxLength"], numbers),
    **dict.fromkeys(["minProperties", "maxProperties"], numbers),
}  # fmt: skip


def near(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas that are almost right: right keywords, now and then a wrong value."""
    named = st.dictionaries(st.sampled_from(["a", "b", "\ud800", ""]), inner, max_size=3)
    several = st.lists(inner, max_size=3)
    inside = {
        **dict.fromkeys(["properties", "patternProperties", "$defs", "definitions"], named),
        **dict.fromkeys(["anyOf", "oneOf", "allOf", "prefixItems"], several),
        **dict.fromkeys(["items", "additionalProperties"], inner),
    }
    every = {**NEAR_MISS, **inside}
    keys = st.lists(st.sampled_from(sorted(every)), max_size=4, unique=True)
    return keys.flatmap(lambda found: st.fixed_dictionaries({key: every[key] for key in found}))


near_misses = st.recursive(st.one_of(st.booleans(), scalars), near, max_leaves=8)


@given(schema=near_misses, seed=st.integers(0, 2**32))
def test_whatever_a_device_sends_as_a_schema_is_refused_or_followed(schema: Any, seed: int) -> None:
    with contextlib.suppress(Refusal, MatcherFailed):
        assert len(answer(compiled(schema), seed)) <= TOKENS_MAX


@pytest.mark.parametrize("text", ['{"const": 1e999}', '{"const": NaN}', '{"const": "\\ud800"}'])
def test_what_json_readers_do_not_agree_on_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="not JSON"):
        Constraints(VOCABULARY.guidance, N_VOCAB, Lengths()).constraint(text)


def test_what_is_forced_is_the_whole_answer_of_a_constant() -> None:
    matcher = compiled({"const": {"dock": 4}}).matcher()
    forced = matcher.ahead()
    assert bytes(forced) == b'{"dock":4}'
    matcher.take(*forced)
    assert matcher.is_complete


def test_a_number_may_end_and_may_go_on() -> None:
    matcher = compiled({"type": "integer", "minimum": 0, "maximum": 99}).matcher()
    matcher.take(ord("4"))
    assert matcher.is_accepting
    assert not matcher.is_complete
    assert matcher.has(END)
    assert matcher.allowed().mask()[END]


def test_each_request_has_its_own_matcher() -> None:
    constraint = compiled({"enum": ["ab", "cd"]})
    one, two = constraint.matcher(), constraint.matcher()
    one.take(*b'"a')
    two.take(*b'"c')
    assert (bytes(one.ahead()), bytes(two.ahead())) == (b'b"', b'd"')


def test_a_matcher_can_be_used_by_another_thread() -> None:
    matcher = compiled({"const": 12}).matcher()
    found: list[list[int]] = []
    thread = threading.Thread(target=lambda: found.append(matcher.ahead()))
    thread.start()
    thread.join()
    assert bytes(found[0]) == b"12"


def test_a_token_that_is_not_allowed_is_an_error() -> None:
    matcher = compiled({"type": "boolean"}).matcher()
    with pytest.raises(MatcherFailed):
        matcher.take(ord("x"))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "no-such-format"},
        {"type": "integer", "minimum": 5, "maximum": 3},
        {"type": "string", "minLength": 5, "maxLength": 3},
        {"type": "string", "pattern": "(["},
        {"type": "string", "pattern": "^(" + "a?" * 400 + "a" * 400 + ")$"},
        {"allOf": [{"type": "string"}, {"type": "null"}]},
        {"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 2}]},
    ],
)
def test_what_the_compiler_refuses_is_a_bad_schema_with_its_words(schema: Any) -> None:
    with pytest.raises(Refusal) as refused:
        compiled(schema)
    assert refused.value.reason == "bad_schema"
    assert len("schema: ") < len(refused.value.detail) < 300


def test_a_schema_is_compiled_once() -> None:
    constraints = Constraints(VOCABULARY.guidance, N_VOCAB, Lengths())
    text = json.dumps({"type": "boolean"})
    assert constraints.constraint(text) is constraints.constraint(text)


def test_tokens_are_counted_not_bytes() -> None:
    shortest = compiled({"enum": ["arrival", "departure"]})
    assert (shortest.answer_tokens_min, shortest.answer_tokens_max) == (9, 11)
