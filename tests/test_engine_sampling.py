from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edged.engine.allowed import FEW_WORDS, Allowed
from edged.engine.frames import Sampling
from edged.engine.sampling import NoToken, Row, sample

ROW: Row = np.array([0.0, 3.0, 1.0, 2.9, -2.0], dtype=np.float32)


def draw(
    sampling: Sampling, *, row: Row = ROW, recent: tuple[int, ...] = (), count: int = 1
) -> set[int]:
    generator = Random(sampling.seed)
    return {sample(row, None, sampling, recent, generator).token for _ in range(count)}


def test_greedy_takes_the_likeliest_token() -> None:
    assert draw(Sampling()) == {1}


@dataclass
class Place:
    """A place in a schema where these tokens may come."""

    mask: NDArray[np.bool_]

    def has(self, token: int) -> bool:
        return bool(self.mask[token])

    def allowed(self) -> Allowed:
        words = np.zeros(-(-len(self.mask) // 32), dtype=np.int32)
        packed = np.packbits(self.mask, bitorder="little")
        words.view(np.uint8)[: len(packed)] = packed
        return Allowed(words, len(self.mask))


def test_a_masked_token_is_never_taken() -> None:
    place = Place(np.array([True, False, True, False, True]))
    generator = Random(1)
    hot = Sampling(temperature=5.0)
    assert {sample(ROW, place, hot, (), generator).token for _ in range(300)} == {0, 2, 4}


def test_the_probability_is_the_model_s_own_whatever_the_mask() -> None:
    place = Place(np.array([True, False, False, False, False]))
    found = sample(ROW, place, Sampling(), (), Random(1))
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
        generator = Random(seed)
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
        sample(row, Place(mask), Sampling(), (), Random(1))


def plain_sample(
    row: Row, mask: NDArray[np.bool_], sampling: Sampling, recent: list[int], seed: int
) -> tuple[int, float]:
    """Sample by the formulas, with everything as wide as the vocabulary and all of it sorted."""
    logits = np.where(mask, row, -np.inf)
    if sampling.repeat_penalty != 1.0:
        for token in set(recent[-64:]):
            by = np.float32(sampling.repeat_penalty)
            logits[token] = logits[token] / by if logits[token] > 0 else logits[token] * by
    token = int(np.argmax(logits))
    if sampling.temperature > 0:
        order = np.argsort(-logits, kind="stable")
        order = order[: sampling.top_k or len(order)]
        order = order[np.isfinite(logits[order])]
        shares = softmax(logits[order])
        keep = shares >= sampling.min_p * shares[0]
        if sampling.top_p < 1:
            keep &= np.cumsum(shares) - shares < sampling.top_p
        keep[0] = True
        order = order[keep]
        edges = np.cumsum(softmax(logits[order].astype(np.float64) / sampling.temperature))
        place = np.searchsorted(edges, Random(seed).random(), side="right")
        token = int(order[min(int(place), len(order) - 1)])
    return token, float(softmax(row)[token])


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.exp(logits.astype(np.float64) - float(logits.max()))
    return shares / float(shares.sum())


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 0.8, 1.0, 3.0]),
    top_p=st.one_of(st.just(1.0), st.floats(0.01, 0.999)),
    top_k=st.one_of(st.none(), st.integers(1, 900)),
    min_p=st.one_of(st.just(0.0), st.floats(0.001, 0.9)),
    repeat_penalty=st.sampled_from([1.0, 1.3]),
)


@given(
    sampling=samplings,
    n_vocab=st.sampled_from([5, 31, 300, 20_000]),
    seed=st.integers(0, 2**32),
    spread=st.sampled_from([0.01, 1.0, 4.0, 12.0]),
    decimals=st.sampled_from([1, 6]),
    open_share=st.sampled_from([0.0, 0.001, 0.5, 0.999, 1.0]),
)
def test_a_token_and_its_probability_are_those_of_the_formulas(
    sampling: Sampling, n_vocab: int, seed: int, spread: float, decimals: int, open_share: float
) -> None:
    random = np.random.default_rng(seed)
    row = np.round(random.normal(0, spread, n_vocab), decimals).astype(np.float32)
    mask = random.random(n_vocab) < open_share
    mask[random.integers(n_vocab)] = True
    recent = random.integers(0, n_vocab, 80).tolist()
    expected = plain_sample(row, mask, sampling, recent, seed)
    place = None if mask.all() else Place(mask)
    found = sample(row, place, sampling, recent, Random(seed))
    assert found.token == expected[0]
    assert np.exp(found.log_p) == pytest.approx(expected[1], rel=1e-5)


def test_a_top_p_of_one_cuts_nothing_though_the_shares_sum_to_more_than_one() -> None:
    # Cold, the last 99 together are a share under the rounding of the first; hot, most of all.
    row = np.array([60.0] + [0.0] * 99, dtype=np.float32)
    hot = Sampling(temperature=1000.0, top_p=1.0)
    drawn = {sample(row, None, hot, (), Random(seed)).token for seed in range(50)}
    assert len(drawn) > 30


@given(n_vocab=st.integers(1, 200), seed=st.integers(0, 2**32), wide=st.booleans())
def test_allowed_tokens_are_the_bits_that_are_set(n_vocab: int, seed: int, wide: bool) -> None:
    n_vocab = 97 * n_vocab if wide else n_vocab
    mask = np.random.default_rng(seed).random(n_vocab) < 0.3
    allowed = Place(mask).allowed()
    assert (allowed.mask() == mask).all()
    tokens, few = np.flatnonzero(mask).tolist(), allowed.few()
    assert (few is None) == (len({token // 32 for token in tokens}) > FEW_WORDS)
    assert few is None or few.tolist() == tokens


@pytest.mark.parametrize("spread", [0.5, 4.0])
def test_a_head_of_the_order_draws_as_often_as_the_whole(spread: float) -> None:
    row = np.random.default_rng(1).normal(0, spread, 50).astype(np.float32)
    shares = softmax(row)
    generator = Random(2)
    hot = Sampling(temperature=1.0)
    drawn = [sample(row, None, hot, (), generator).token for _ in range(4000)]
    counted = np.bincount(drawn, minlength=50) / len(drawn)
    np.testing.assert_allclose(counted, shares, atol=0.03)
