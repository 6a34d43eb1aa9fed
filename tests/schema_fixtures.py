"""Schemas drawn for tests, right and nearly right, and answers held to them.

In: hypothesis, a seed.  Out: schemas; the constraint of one; an answer of random allowed tokens.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import strategies as st

from edged.engine.constraints import Constraint, Constraints
from edged.engine.schema import Lengths
from edged.engine.sim import N_VOCAB, SimVocabulary

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
