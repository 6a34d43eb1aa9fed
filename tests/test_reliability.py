from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.evaluation.reliability import Judged, auroc, calibration_error, error_at, reliability

JUDGED = st.lists(
    st.builds(Judged, st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9, 0.99]), st.booleans()),
    min_size=1,
    max_size=40,
)


def judged(*pairs: tuple[float, int]) -> list[Judged]:
    return [Judged(confidence, bool(right)) for confidence, right in pairs]


@given(JUDGED)
def test_auroc_is_the_share_of_pairs_in_the_right_order(rows: list[Judged]) -> None:
    right = [row.confidence for row in rows if row.is_exact]
    wrong = [row.confidence for row in rows if not row.is_exact]
    wins = [(high > low) + (high == low) / 2 for high, low in product(right, wrong)]
    assert auroc(rows) == (pytest.approx(sum(wins) / len(wins)) if wins else None)


@given(JUDGED, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: list[Judged], rng: random.Random) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert reliability(shuffled) == reliability(rows)


@given(JUDGED)
def test_at_full_coverage_the_error_is_the_share_of_wrong_ones(rows: list[Judged]) -> None:
    assert error_at(rows, 1.0) == pytest.approx(sum(not row.is_exact for row in rows) / len(rows))


def test_at_less_coverage_the_least_sure_ones_are_left_out() -> None:
    rows = judged((0.9, 1), (0.8, 1), (0.7, 0), (0.6, 1), (0.5, 0))
    assert error_at(rows, 0.8) == pytest.approx(1 / 4)
    assert error_at(rows, 0.4) == 0.0


def test_of_equals_any_may_be_left_out() -> None:
    assert error_at(judged((0.5, 1), (0.5, 1), (0.5, 1), (0.5, 0)), 0.5) == pytest.approx(0.25)


def test_hit_rates_have_no_calibration_error() -> None:
    rows = judged(*[(0.75, n % 4 > 0) for n in range(40)], *[(0.5, n % 2) for n in range(40)])
    assert calibration_error(rows) == pytest.approx(0.0)


def test_the_calibration_error_is_the_mean_distance_from_the_hit_rate() -> None:
    assert calibration_error(judged(*[(0.9, n % 2) for n in range(40)])) == pytest.approx(0.4)


def test_the_bins_are_of_equal_count() -> None:
    sure = judged(*[(0.9, 1)] * 90)
    assert calibration_error([*sure, *judged(*[(0.2, 0)] * 10)]) == pytest.approx(0.11)


def test_without_confidences_there_is_nothing_to_say() -> None:
    assert reliability([]) is None
