"""Answers that reach their cap, through the real sequence, matcher and vocabulary of dock-mini."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import llama_cpp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.constraints import Constraints, MatcherFailed
from edged.engine.formats import RoleFormat
from edged.engine.frames import Work
from edged.engine.llama_vocabulary import LlamaVocabulary
from edged.engine.prepare import Preparer
from edged.engine.sampling import Row
from edged.engine.schema import Lengths
from edged.engine.sequence import Sequence
from edged.errors import Refusal
from tests.engine_fixtures import work
from tests.schema_fixtures import answer, compiled, near_misses, schemas

pytestmark = pytest.mark.model  # its vocabulary
MODEL = Path(__file__).parent.parent / "edged/models/dock-mini/dock-mini.gguf"
CONTEXT_TOKENS = 80
LINE = {
    "type": "object",
    "properties": {
        "sku": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
        "count": {"type": "integer", "minimum": 1, "maximum": 999},
        "note": {"type": "object", "properties": {"by": {"type": "string"}}, "required": ["by"]},
    },
    "required": ["sku", "count"],
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "record": {
        "type": "object",
        "properties": {
            "event": {"enum": ["arrival", "departure", "damage", "temperature_alarm"]},
            "dock": {"type": ["integer", "null"], "minimum": 1, "maximum": 99},
            "pallet": {"type": ["string", "null"], "pattern": "^P[0-9]{4,6}$"},
            "needs_human": {"type": "boolean"},
        },
        "required": ["event", "dock", "pallet", "needs_human"],
    },
    "strings": {
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date"},
            "id": {"type": "string", "format": "uuid"},
            "code": {"type": "string", "pattern": "^(?:in|out)-[a-f0-9]{4}$"},
            "text": {"type": "string", "minLength": 5, "maxLength": 40},
            "mail": {"type": "string", "format": "email", "maxLength": 30},
        },
        "required": ["day", "code", "text", "mail"],
    },
    "nested": {
        "type": "object",
        "properties": {
            "order": {"type": "object", "properties": {"first": LINE}, "required": ["first"]},
            "lines": {"type": "array", "items": LINE, "minItems": 1, "maxItems": 4},
            "tags": {"type": "array", "items": {"enum": ["cold", "fragile"]}, "maxItems": 3},
        },
        "required": ["lines", "tags"],
    },
    "numbers": {
        "type": "array",
        "prefixItems": [
            {"type": "number", "minimum": -3.5, "maximum": 10, "multipleOf": 0.25},
            {"type": "integer", "exclusiveMinimum": 10, "maximum": 120},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            {"type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 10_000},
        ],
        "items": {"type": "number"},
        "minItems": 4,
        "maxItems": 8,
    },
    "union": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "ok"}, "count": {"type": "integer"}},
                "required": ["kind", "count"],
            },
            {
                "type": "object",
                "properties": {"kind": {"const": "broken"}, "line": LINE},
                "required": ["kind", "line"],
            },
            {"type": "array", "items": {"anyOf": [{"type": "null"}, LINE]}, "minItems": 2},
        ]
    },
    "recursive": {
        "$ref": "#/$defs/place",
        "$defs": {
            "place": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 2, "maxLength": 8},
                    "inside": {"type": "array", "items": {"$ref": "#/$defs/place"}, "maxItems": 3},
                    "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/place"}]},
                },
                "required": ["name", "inside", "next"],
            }
        },
    },
}


@cache
def vocabulary() -> LlamaVocabulary:
    """Return dock-mini's vocabulary; the model's weights are not loaded."""
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(MODEL).encode(), params)
    return LlamaVocabulary(llama_cpp.llama_model_get_vocab(model))


@cache
def preparer() -> Preparer:
    words = vocabulary()
    constraints = Constraints(words.guidance, words.n_tokens, Lengths())
    form = RoleFormat({"user": "{content}"}, answer="")
    return Preparer(words, form, constraints, CONTEXT_TOKENS, 64)


def leaning(prefers: Callable[[bytes], float]) -> Row:
    """Return logits that lean to some pieces."""
    words = vocabulary()
    pieces = (words.piece(token) for token in range(words.n_tokens))
    return np.asarray([prefers(piece) for piece in pieces], dtype=np.float32)


LEANINGS: dict[str, Callable[[bytes], float]] = {
    "nothing": lambda piece: 0,
    "long tokens": lambda piece: 4 * len(piece),
    "digits": lambda piece: 9 * piece.isdigit(),
    "letters": lambda piece: 9 * piece.isalpha(),
    "brackets": lambda piece: 9 * (piece[:1] in (b"{", b"[", b",")),
    "half characters": lambda piece: 9 * (len(piece) == 1 and piece >= b"\x80"),
    "escapes": lambda piece: 9 * (b"\\" in piece),
}


@cache
def rows(leans_to: str, seed: int) -> list[Row]:
    """Return one row of logits for each token of an answer."""
    random = np.random.default_rng(seed)
    lean = leaning(LEANINGS[leans_to])
    return [lean + random.standard_normal(len(lean), dtype=np.float32) for _ in range(40)]


def answered(asked: Work, leans_to: str = "nothing", seed: int = 0) -> Sequence:
    """Return the whole answer of a model that leans to some tokens."""
    sequence = preparer().sequence(asked, 0.0)
    sequence.open()
    every = rows(leans_to, seed)
    while sequence.ending is None:
        sequence.sample(every[sequence.n_answer % len(every)])
    return sequence


def least(schema: dict[str, Any]) -> int:
    return preparer().constraints.constraint(json.dumps(schema)).answer_tokens_min


def check(sequence: Sequence, schema: dict[str, Any], cap_tokens: int) -> None:
    outcome = sequence.outcome(0.0)
    assert outcome.finish in ("schema", "length"), outcome.detail
    assert outcome.output_tokens <= cap_tokens
    jsonschema.validate(json.loads(outcome.text), schema)
    assert outcome.finish == "length" or not outcome.filled


@pytest.mark.parametrize(
    "leans_to",
    [pytest.param(name, marks=() if name == "nothing" else pytest.mark.slow) for name in LEANINGS],
)
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_cap_from_the_least_to_the_natural_length_gives_a_valid_answer(
    name: str, leans_to: str
) -> None:
    schema = SCHEMAS[name]
    whole = answered(work("a", schema=schema), leans_to)
    for cap_tokens in range(least(schema), whole.n_answer + 1):
        sequence = answered(work("a", schema=schema, max_tokens=cap_tokens), leans_to)
        check(sequence, schema, cap_tokens)


@given(
    name=st.sampled_from(sorted(SCHEMAS)),
    leans_to=st.sampled_from(sorted(LEANINGS)),
    seed=st.integers(0, 50),
    more=st.integers(0, 25),
)
def test_whatever_the_model_leans_to_a_capped_answer_is_valid(
    name: str, leans_to: str, seed: int, more: int
) -> None:
    schema = SCHEMAS[name]
    cap_tokens = least(schema) + more
    sequence = answered(work("a", schema=schema, max_tokens=cap_tokens), leans_to, seed)
    check(sequence, schema, cap_tokens)


@given(schema=schemas, seed=st.integers(0, 50), more=st.integers(0, 12))
def test_answers_of_any_schema_are_closed(schema: dict[str, Any], seed: int, more: int) -> None:
    cap_tokens = least(schema) + more
    sequence = answered(work("a", schema=schema, max_tokens=cap_tokens), seed=seed)
    check(sequence, schema, cap_tokens)


@given(schema=near_misses, seed=st.integers(0, 2**32), cut=st.integers(0, 60))
def test_whatever_a_schema_says_a_closing_is_valid_json(schema: Any, seed: int, cut: int) -> None:
    with contextlib.suppress(Refusal, MatcherFailed):
        constraint = compiled(schema)
        text = answer(constraint, seed)[:cut]
        closing = None if constraint.closings is None else constraint.closings.tokens(text)
        if closing is not None:
            matcher = constraint.matcher()
            matcher.take(*text, *closing)
            assert matcher.is_accepting
            json.loads(text + bytes(closing))


def test_the_least_cap_gives_the_minimal_answer_without_the_model() -> None:
    schema = SCHEMAS["record"]
    outcome = answered(work("a", schema=schema, max_tokens=least(schema))).outcome(0.0)
    assert json.loads(outcome.text) == {
        "event": "damage", "dock": 1, "pallet": None, "needs_human": True,
    }  # fmt: skip
    assert outcome.output_tokens == outcome.forced_tokens == least(schema)
    assert outcome.filled == ("event", "dock", "pallet", "needs_human")
    assert outcome.confidence is None


def test_each_field_that_the_closing_wrote_on_is_marked() -> None:
    schema = SCHEMAS["record"]
    for more in range(8):
        capped = work("a", schema=schema, max_tokens=least(schema) + more)
        outcome = answered(capped, "nothing", seed=more).outcome(0.0)
        marked = {score.name for score in outcome.fields if score.is_closed}
        assert set(outcome.filled) <= marked
        assert [score.name for score in outcome.fields] == list(json.loads(outcome.text))


def test_a_cap_under_the_minimal_answer_is_refused_with_its_length() -> None:
    schema = SCHEMAS["strings"]
    with pytest.raises(Refusal, match=f"needs {least(schema)}"):
        preparer().sequence(work("a", schema=schema, max_tokens=least(schema) - 1), 0.0)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("seed", [1, 2])
def test_one_token_is_allowed_as_the_mask_of_all_says(name: str, seed: int) -> None:
    matcher = preparer().constraints.constraint(json.dumps(SCHEMAS[name])).matcher()
    random = np.random.default_rng(seed)
    for _ in range(24):
        matcher.take(*matcher.ahead())
        if matcher.is_complete:
            break
        allowed = np.flatnonzero(matcher.allowed().mask()).tolist()
        assert [token for token in range(vocabulary().n_tokens) if matcher.has(token)] == allowed
        token = int(random.choice(allowed))
        if vocabulary().is_end(token):
            break
        matcher.take(token)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
@pytest.mark.parametrize("name", SCHEMAS)
def test_wherever_an_answer_is_cut_its_closing_is_within_the_bound(name: str, seed: int) -> None:
    schema = SCHEMAS[name]
    closings = preparer().constraints.constraint(json.dumps(schema)).closings
    assert closings is not None
    text = answered(work("w", "x", schema=schema), "brackets", seed).text.text.encode()
    for end in range(len(text)):
        closing = closings.tokens(text[:end])
        assert closing is None or len(closing) <= closings.bound.tokens_max(text[:end])


def test_with_room_to_spare_nobody_looks_for_the_closing() -> None:
    asked = work("w", "x", schema=SCHEMAS["record"], max_tokens=2 * least(SCHEMAS["record"]) + 8)
    sequence = preparer().sequence(asked, 0.0)
    sequence.open()
    assert sequence.room is not None
    sequence.sample(rows("nothing", 0)[0])
    assert sequence.room.text.startswith(b'{"event":"')
    assert sequence.room.closing is None


def test_a_value_in_progress_is_ended_and_is_not_filled() -> None:
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "dock": {"type": "integer"}},
        "required": ["text", "dock"],
    }
    outcome = answered(work("a", schema=schema, max_tokens=20), "letters").outcome(0.0)
    assert (outcome.finish, outcome.filled) == ("length", ("dock",))
    assert json.loads(outcome.text)["text"].strip()
    assert json.loads(outcome.text)["dock"] == 0


def test_a_template_may_rather_fail_at_its_cap() -> None:
    asked = replace(work("a", schema=SCHEMAS["record"], max_tokens=20), on_cap="error")
    outcome = answered(asked).outcome(0.0)
    assert (outcome.finish, outcome.reason, outcome.filled) == ("failed", "cap", ())


def test_of_two_lists_the_shorter_one_is_the_least() -> None:
    two = {"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 2}
    nested = {"type": "array", "items": two, "minItems": 1, "maxItems": 1}
    schema = {"anyOf": [two, nested]}
    outcome = answered(work("a", schema=schema, max_tokens=least(schema))).outcome(0.0)
    assert json.loads(outcome.text) == [None, None]


def test_no_room_is_kept_where_the_longest_answer_fits() -> None:
    schema = SCHEMAS["record"]
    longest = preparer().constraints.constraint(json.dumps(schema)).answer_tokens_max
    assert longest is not None
    ample = replace(preparer(), context_tokens=2 * longest)
    assert ample.sequence(work("a", schema=schema), 0.0).room is None
    assert ample.sequence(work("a", schema=schema, max_tokens=longest - 1), 0.0).room is not None
