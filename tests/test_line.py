"""What a device is told about when its answer comes."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.line import expected_s


def test_with_a_free_place_it_is_the_prompts_own_time() -> None:
    assert expected_s(3, 4, mean_s=8.0, own_s=2.0) == 2.0


@given(st.integers(1, 16), st.integers(0, 200))
def test_it_never_shrinks_with_the_number_ahead(sequences: int, ahead: int) -> None:
    one = expected_s(ahead, sequences, 2.0, 1.0)
    assert expected_s(ahead + 1, sequences, 2.0, 1.0) >= one


@given(
    st.integers(1, 16),
    st.integers(0, 200),
    st.lists(st.floats(0.5, 1.5), min_size=216, max_size=216),
    st.floats(0.0, 1.0),
)
def test_it_is_off_by_about_one_answer_where_answers_differ_by_half(
    sequences: int, ahead: int, lengths_s: list[float], begun: float
) -> None:
    """Whoever is ahead takes the next place that becomes free; those that run are underway."""
    free_s = [begun * length_s for length_s in lengths_s[:sequences]]
    running = min(ahead, sequences)
    places = free_s[:running] + [0.0] * (sequences - running)
    heapq.heapify(places)
    for length_s in lengths_s[sequences : sequences + ahead - running]:
        heapq.heapreplace(places, places[0] + length_s)
    mean_s = sum(lengths_s) / len(lengths_s)
    expected = expected_s(ahead, sequences, mean_s, 1.0)
    rounds = 1 + ahead / sequences
    assert expected == pytest.approx(places[0] + 1.0, abs=1.5 + 0.5 * rounds)
