"""Models for benchmarks: a vocabulary of any size, weights that follow a script."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edged.engine.backend import Run
from edged.engine.llama import Llama, Shape
from tools import make_bench_model
from tools.bench_model import experts, steering, vocabulary
from tools.bench_model.experts import GEMMA_4_26B_A4B
from tools.bench_model.shape import SHAPES
from tools.bench_model.steering import BACK, Script, successors

DOCK_MINI = Path(__file__).parent.parent / "edged/models/dock-mini/dock-mini.gguf"
BEFORE = tuple(range(900, 900 + max(BACK) + 1))


pytestmark = pytest.mark.model  # its vocabulary


@pytest.fixture(scope="module")
def small() -> vocabulary.Vocabulary:
    return vocabulary.read(DOCK_MINI)


def test_a_vocabulary_is_filled_to_its_size_without_a_word_twice(
    small: vocabulary.Vocabulary,
) -> None:
    large = vocabulary.filled(small, 20_000)
    assert len(large.tokens) == len(set(large.tokens)) == len(large.kinds) == 20_000
    assert large.tokens[: len(small.tokens)] == small.tokens
    assert large == vocabulary.filled(small, 20_000)


def test_each_made_word_has_the_merge_that_makes_it(small: vocabulary.Vocabulary) -> None:
    large = vocabulary.filled(small, 6000)
    made = large.tokens[len(small.tokens) :]
    merges = large.merges[len(small.merges) :]
    assert ["".join(merge.split(" ")) for merge in merges] == made


def test_made_words_are_made_of_plain_ones(small: vocabulary.Vocabulary) -> None:
    large = vocabulary.filled(small, 6000)
    normal = int(gguf.TokenType.NORMAL)
    assert set(large.kinds[len(small.kinds) :]) == {normal}
    special = {word for word, kind in zip(small.tokens, small.kinds, strict=True) if kind != normal}
    parts = {part for merge in large.merges[len(small.merges) :] for part in merge.split(" ")}
    assert parts & special == set()


def test_a_vocabulary_that_is_too_large_is_refused(small: vocabulary.Vocabulary) -> None:
    with pytest.raises(ValueError, match=r"has 4096 tokens, the shape has room for 100"):
        vocabulary.filled(small, 100)


def test_the_same_token_is_followed_by_others_where_others_stood_before_it() -> None:
    following = successors([Script(BEFORE, (1, 7, 2, 3, 4, 5, 6, 7, 3))])
    assert {token for context, token in following.items() if context[0] == 7} == {2, 3}


def test_scripts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="followed by 2 and 3"):
        successors([Script(BEFORE, (1, 2)), Script(BEFORE, (1, 3))])


def test_a_script_needs_enough_before_it_to_look_at() -> None:
    with pytest.raises(ValueError, match="must stand before"):
        successors([Script(BEFORE[1:], (1, 2))])


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_each_head_looks_at_its_own_place_whatever_the_distance(name: str) -> None:
    shape = SHAPES[name]
    query, key = steering.query_and_key_bias(shape)
    half, at = shape.head_width // 2, 3000
    turns = shape.rope_base ** (-np.arange(half) / half)
    queries = query.reshape(shape.heads, shape.head_width)
    keys = key[: shape.head_width][None] * np.ones((at + 1, 1))
    for head, back in enumerate(BACK):
        turned = rotated(queries[head][None], np.array([at]), turns)
        scores = rotated(keys, np.arange(at + 1), turns) @ turned[0] / np.sqrt(shape.head_width)
        shares = np.exp(scores - scores.max())
        assert shares[at - back] / shares.sum() > 0.999


def rotated(values: NDArray[Any], places: NDArray[Any], turns: NDArray[Any]) -> NDArray[Any]:
    """RoPE in NEOX order: value i of a head turns with i + half."""
    half = len(turns)
    cos, sin = np.cos(np.outer(places, turns)), np.sin(np.outer(places, turns))
    left, right = values[:, :half], values[:, half:]
    return np.hstack([left * cos - right * sin, left * sin + right * cos])


@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_the_head_gives_each_state_its_own_token(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    states = list(random.standard_normal((count, 64)).astype(np.float32))
    following: dict[tuple[int, ...], int] = {
        (place,): int(random.integers(1000)) for place in range(count)
    }
    tokens, rows = steering.head_rows(following, states)
    logits = np.stack(states) @ rows.T
    assert [int(tokens[place]) for place in logits.argmax(axis=1)] == list(following.values())


@pytest.mark.parametrize("options", [[], ["--scripted"]])
def test_the_same_options_write_the_same_file(tmp_path: Path, options: list[str]) -> None:
    files = [tmp_path / name / "m.gguf" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        words = ["--shape", "tiny", "--vocabulary", str(DOCK_MINI), str(file), *options]
        assert make_bench_model.main(words) == 0
    first, second = (file.read_bytes() for file in files)
    assert first == second


def test_a_vocabulary_that_is_none_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.gguf")
    words = ["--shape", "tiny", "--vocabulary", missing, str(tmp_path / "m.gguf")]
    assert make_bench_model.main(words) == 1
    assert "missing.gguf" in capsys.readouterr().err


def test_a_mixture_of_experts_is_written_as_llama_cpp_reads_it(
    small: vocabulary.Vocabulary, tmp_path: Path
) -> None:
    tiny = replace(
        GEMMA_4_26B_A4B, layers=6, width=256, heads=4, head_widths=(64, 128), kv_heads=(2, 1),
        inner=128, experts=8, experts_used=2, expert_inner=64, vocab_tokens=4096,
    )  # fmt: skip
    experts.write(tmp_path / "experts.gguf", tiny, small)
    llama = Llama(tmp_path / "experts.gguf", Shape(512, 64, 4, 1), lambda share: True)
    try:
        (row,) = llama.decode([Run(0, 0, [5, 6, 7], is_sampled=True)])
        assert np.isfinite(row).all()
        assert row.std() > 0.01
    finally:
        llama.close()


def test_the_full_size_has_the_weights_that_its_name_says() -> None:
    sizes = {tensor.name: math.prod(tensor.size) for tensor in experts.tensors(GEMMA_4_26B_A4B)}
    assert sum(sizes.values()) == pytest.approx(25.2e9, rel=0.01)
    shared = {name: size for name, size in sizes.items() if "exps.weight" not in name}
    used = sum(sizes.values()) - sum(shared.values())
    active = sum(shared.values()) + used * 8 / 128
    assert active == pytest.approx(3.9e9, rel=0.03)
