from __future__ import annotations

import numpy as np
import pytest

from edged.engine.frames import Sampling
from edged.engine.sampling import NoToken, Row, sample

ROW: Row = np.array([0.0, 3.0, 1.0, 2.9, -2.0], dtype=np.float32)


def draw(
    sampling: Sampling, *, row: Row = ROW, recent: tuple[int, ...] = (), count: int = 1
) -> set[int]:
    generator = np.random.default_rng(sampling.seed)
    return {sample(row, None, sampling, recent, generator).token for _ in range(count)}


def test_greedy_takes_the_likeliest_token() -> None:
    assert draw(Sampling()) == {1}


def test_a_masked_token_is_never_taken() -> None:
    mask = np.array([True, False, True, False, True])
    generator = np.random.default_rng(1)
    hot = Sampling(temperature=5.0)
    assert {sample(ROW, mask, hot, (), generator).token for _ in range(300)} == {0, 2, 4}


def test_the_probability_is_the_model_s_own_whatever_the_mask() -> None:
    mask = np.array([True, False, False, False, False])
    found = sample(ROW, mask, Sampling(), (), np.random.default_rng(1))
    shares = np.exp(ROW) / np.exp(ROW).sum()
    assert found.log_p == pytest.approx(np.log(shares[0]))


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        (Sampling(temperature=9.0, seed=1), {0, 1, 2, 3, 4}),
        (Sampling(temperature=9.0, top_k=2, seed=1), {1, 3}),
        (Sampling(temperature=9.0, top_p=0.5, seed=1), {1, 3}),
        (Sampling(temperature=9.0, top_p=0.1, seed=1), {1}),
        (Sampling(temperature=9.0, min_p=0.5, seed=1), {1, 3}),
        (Sampling(temperature=0.01, seed=1), {1}),
        (Sampling(temperature=1e-320, seed=1), {1}),
        (Sampling(temperature=1e6, top_p=0.0, seed=1), {1}),
    ],
)
def test_each_setting_narrows_what_can_be_drawn(sampling: Sampling, possible: set[int]) -> None:
    assert draw(sampling, count=500) == possible


def test_the_same_seed_draws_the_same_tokens() -> None:
    def tokens(seed: int) -> list[int]:
        generator = np.random.default_rng(seed)
        hot = Sampling(temperature=2.0)
        return [sample(ROW, None, hot, (), generator).token for _ in range(50)]

    assert tokens(7) == tokens(7) != tokens(8)


def test_a_repeated_token_is_penalised() -> None:
    assert draw(Sampling(repeat_penalty=1.5), recent=(1,)) == {3}


def test_logits_are_left_as_they_were() -> None:
    before = ROW.copy()
    draw(Sampling(temperature=1.0, top_k=2, repeat_penalty=2.0), recent=(1, 2))
    assert (before == ROW).all()


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_row_without_a_finite_logit_is_an_error(bad: float) -> None:
    with pytest.raises(NoToken):
        draw(Sampling(), row=np.full(5, bad, dtype=np.float32))


@pytest.mark.parametrize("logit", [np.nan, np.inf])
def test_a_row_without_probabilities_is_an_error_even_where_it_is_masked(logit: float) -> None:
    row = np.append(ROW, np.float32(logit))
    mask = np.append(np.ones(len(ROW), dtype=np.bool_), np.False_)
    with pytest.raises(NoToken, match="finite"):
        sample(row, mask, Sampling(), (), np.random.default_rng(1))
