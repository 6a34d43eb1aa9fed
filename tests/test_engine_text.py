from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.text import AnswerText


def pieces(text: str | bytes, size: int) -> list[bytes]:
    raw = text.encode() if isinstance(text, str) else text
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def test_a_character_split_over_tokens_comes_whole() -> None:
    answer = AnswerText()
    assert [answer.add(piece) for piece in pieces("€5", 1)] == ["", "", "€", "5"]


def test_half_a_character_at_the_end_is_marked_not_dropped() -> None:
    answer = AnswerText()
    answer.add("€".encode()[:2])
    assert answer.finish() == "�"


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_a_stop_string_is_met_across_token_borders(size: int) -> None:
    answer = AnswerText(("END",))
    sent = "".join(answer.add(piece) for piece in pieces("dock 4 EN END more", size))
    assert (sent + answer.finish(), answer.is_stopped) == ("dock 4 EN ", True)


def test_what_may_begin_a_stop_string_is_held_back() -> None:
    answer = AnswerText(("\n\n",))
    assert [answer.add(piece) for piece in (b"a\n", b"b")] == ["a", "\nb"]


def test_the_earliest_of_several_stop_strings_ends_the_answer() -> None:
    answer = AnswerText(("zzz", "b"))
    answer.add(b"aabzzz")
    assert answer.text == "aa"


@given(text=st.text(max_size=60), size=st.integers(1, 7), stop=st.text(max_size=4))
def test_the_parts_sent_join_to_the_text_before_the_stop_string(
    text: str, size: int, stop: str
) -> None:
    answer = AnswerText((stop,))
    sent = "".join([*(answer.add(piece) for piece in pieces(text, size)), answer.finish()])
    expected = text.split(stop)[0] if stop else text
    assert sent == answer.text == expected
