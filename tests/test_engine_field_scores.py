"""Which field a token counts for, whatever the tokens' cuts and the wire form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edged.engine.compact import Expander, wire_schema
from edged.engine.field_scores import FieldScores
from edged.engine.frames import FieldScore

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def cut(text: str, data: st.DataObject) -> list[str]:
    """Return the text in pieces, cut anywhere."""
    ends = data.draw(st.sets(st.integers(1, max(1, len(text) - 1))))
    return [text[at:end] for at, end in pairwise(sorted({0, len(text), *ends}))]


def spans(answer: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Yield where the text of each field's value begins and ends, a number's end included."""
    end = 0
    for name, value in answer.items():
        begin = end + 1 + len(compact(name)) + 1
        end = begin + len(compact(value))
        yield name, begin, end + (not compact(value).startswith(('"', "[", "{")))


def expected(answer: Mapping[str, Any], pieces: list[str]) -> dict[str, int]:
    """Return how many pieces write on each field's value."""
    counts = dict.fromkeys(answer, 0)
    at = 0
    for piece in pieces:
        for name, begin, end in spans(answer):
            counts[name] += at < end and begin < at + len(piece)
        at += len(piece)
    return counts


def by_name(scores: FieldScores) -> dict[str, FieldScore]:
    return {score.name: score for score in scores.scores()}


@given(OBJECTS, st.data())
def test_a_token_counts_for_each_field_on_whose_value_it_writes(
    answer: dict[str, Any], data: st.DataObject
) -> None:
    pieces, scores = cut(compact(answer), data), FieldScores()
    for piece in pieces:
        scores.chosen(piece, -1.0)
    found = {name: -score.log_p_sum for name, score in by_name(scores).items()}
    assert found == expected(answer, pieces)
    assert list(found) == list(answer)


@given(OBJECTS, st.data())
def test_the_array_of_the_compact_form_is_read_as_the_object_that_is_told(
    answer: dict[str, Any], data: st.DataObject
) -> None:
    anything: dict[str, Any] = {name: {} for name in answer}
    schema = {"type": "object", "properties": anything, "required": list(answer)}
    assert wire_schema(schema)["type"] == "array"
    expander, scores = Expander(schema), FieldScores()
    told = [expander.add(piece) for piece in cut(compact(list(answer.values())), data)]
    for piece in told:
        scores.chosen(piece, -1.0)
    found = {name: -score.log_p_sum for name, score in by_name(scores).items()}
    assert found == expected(answer, told)


def test_the_sum_and_the_lowest_are_of_the_chosen_tokens_alone() -> None:
    scores = FieldScores()
    scores.forced('{"dock":')
    scores.chosen("1", -0.5)
    scores.chosen("2", -0.25)
    scores.forced(',"event":"')
    scores.chosen("left", -0.125)
    scores.forced('"}')
    assert scores.scores() == (
        FieldScore("dock", -0.75, -0.5),
        FieldScore("event", -0.125, -0.125),
    )


def test_what_ends_a_number_counts_for_it() -> None:
    scores = FieldScores()
    scores.chosen('{"dock":1', -1.0)
    scores.chosen(',"', -2.0)
    scores.chosen('a":true', -4.0)
    assert [(s.name, s.log_p_sum) for s in scores.scores()] == [("dock", -3.0), ("a", -4.0)]


def test_a_field_without_a_choice_is_told_with_0() -> None:
    scores = FieldScores()
    scores.forced('{"kind":"dock"}')
    assert scores.scores() == (FieldScore("kind", 0.0, 0.0),)


def test_a_token_that_ends_inside_a_character_counts_for_the_field_in_progress() -> None:
    scores = FieldScores()
    scores.forced('{"name":"')
    scores.chosen("", -1.0)
    scores.chosen("ü", -1.0)
    assert scores.scores() == (FieldScore("name", -2.0, -1.0),)


def test_what_the_closing_wrote_on_is_marked() -> None:
    scores = FieldScores()
    scores.chosen('{"a":"x","b":1', -1.0)
    scores.closed(',"c":2}')
    assert {score.name: score.is_closed for score in scores.scores()} == {
        "a": False,
        "b": True,
        "c": True,
    }


def test_an_answer_that_is_no_object_has_no_fields() -> None:
    for answer in ('[{"a":1},"b"]', '"a:b"', "12"):
        scores = FieldScores()
        scores.chosen(answer, -1.0)
        assert scores.scores() == ()
