from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.constraints import Constraints, MatcherFailed
from edged.engine.schema import Lengths
from edged.engine.sim import END, N_VOCAB
from edged.errors import Refusal
from tests.schema_fixtures import TOKENS_MAX, VOCABULARY, answer, compiled, near_misses, schemas


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


@given(schema=near_misses, seed=st.integers(0, 2**32))
def test_whatever_a_device_sends_as_a_schema_is_refused_or_followed(schema: Any, seed: int) -> None:
    with contextlib.suppress(Refusal, MatcherFailed):
        assert len(answer(compiled(schema), seed)) <= TOKENS_MAX


def strings(*kinds: dict[str, Any]) -> dict[str, Any]:
    properties = {f"k{place}": {"type": "string", **kind} for place, kind in enumerate(kinds)}
    return {"type": "object", "properties": properties, "required": list(properties)}


def branching(join: str, levels: int) -> dict[str, Any]:
    """Return a schema each of whose definitions leads to the next one twice."""
    both = {f"d{n}": {join: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**both, f"d{levels}": {"type": "null"}}}


def lists(levels: int) -> dict[str, Any]:
    """Return a schema of lists in lists, by name."""
    each = {
        f"d{n}": {"type": "array", "items": {"$ref": f"#/$defs/d{n + 1}"}, "minItems": 1}
        for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**each, f"d{levels}": {"type": "null"}}}


COSTLY = {
    "formats": strings(*[{"format": "ipv6"}, {"format": "uri"}] * 120),
    "patterns": strings(*({"pattern": f"^(a|b)*{n}(a|b){{9}}$"} for n in range(230))),
    "choices": branching("anyOf", 22),
    "bundles": branching("allOf", 22),
    "lists": lists(24),
}
# A third of it was measured; the lease of an engine is 2 s.
PREPARE_S_MAX = 1.0


@pytest.mark.parametrize("name", COSTLY)
def test_a_schema_of_a_device_is_prepared_well_within_the_lease(name: str) -> None:
    began_s = time.thread_time()
    compiled(COSTLY[name])
    assert time.thread_time() - began_s < PREPARE_S_MAX


def test_equal_formats_are_searched_once_so_that_long_answers_can_be_closed() -> None:
    assert compiled(COSTLY["formats"]).closings is not None


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
