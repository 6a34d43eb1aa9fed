"""Weights with which a model of any shape says what a script wants, at its full cost.

All layers compute as in any model of their shape, but `attn_output` and `ffn_down` are zero in all
but the first layer's attention, so they add nothing to the residual stream. There, queries and
keys are constant (weights zero, biases not), turned by RoPE alone: each of four heads looks at the
token a fixed number of places back and adds a code of it. What reaches the output head is thus a
sum that names five tokens, and the head's rows are solved for: behind each such five of the script,
the next token has the highest logit by far. Five, because JSON's own tokens (`":`, `,"`) come again
and again; what stands before them does not. The farthest is for digits, whose values stand in the
record and in its bare values alike.

In:  a shape, scripts as tokens.     Out: the first layer's weights, the head's rows.
Source: RoPE as llama.cpp has it for Qwen2 (NEOX order): value i of a head turns with i + half.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.bench_model.shape import Shape

Floats = NDArray[np.float32]
Context = tuple[int, ...]

# How many places back each head looks.
BACK = (1, 2, 3, 6)
# Softmax of the place looked at against any other: e^25, whatever the distance.
MARGIN = 25.0
# The script's logit; of all other tokens the highest is about 5 times NOISE.
LOGIT, NOISE = 24.0, 1.5
# The slower frequencies of RoPE hardly tell neighbours apart.
FREQUENCIES = 16


@dataclass(frozen=True, slots=True)
class Script:
    """One answer: the tokens in front of it, at least as many as are looked at, and its own."""

    before: Context
    answer: Context


def successors(scripts: Iterable[Script]) -> dict[Context, int]:
    """Return which token follows each context: the last token, then those that are looked at.

    Raises:
        ValueError: two scripts want different tokens behind the same context.
    """
    following: dict[Context, int] = {}
    for context, token in _steps(scripts):
        if following.setdefault(context, token) != token:
            raise ValueError(f"tokens {context} are followed by {following[context]} and {token}")
    return following


def _steps(scripts: Iterable[Script]) -> Iterator[tuple[Context, int]]:
    for script in scripts:
        if len(script.before) <= max(BACK):
            raise ValueError(f"{max(BACK) + 1} tokens must stand before an answer")
        whole = script.before + script.answer
        for place in range(len(script.before), len(whole)):
            yield tuple(whole[place - 1 - back] for back in (0, *BACK)), whole[place]


def query_and_key_bias(shape: Shape) -> tuple[Floats, Floats]:
    """Return the first layer's biases, shapes (heads * head_width,) and (kv_heads * head_width,).

    The first heads look back by `BACK`; the others at nothing in particular. All of them share
    the first key.

    Raises:
        ValueError: the shape has fewer heads than that for one key.
    """
    if shape.heads // shape.kv_heads < len(BACK):
        raise ValueError(f"{len(BACK)} heads must share a key; this shape has fewer")
    count, half = min(FREQUENCIES, shape.head_width // 2), shape.head_width // 2
    turns = shape.rope_base ** (-np.arange(count) / half)
    size = _bias_size(shape, turns)
    query = np.zeros((shape.heads, shape.head_width), dtype=np.float32)
    key = np.zeros((shape.kv_heads, shape.head_width), dtype=np.float32)
    key[0, :count] = size
    for head, back in enumerate(BACK):
        angle = -back * turns
        query[head, :count] = size * np.cos(angle)
        query[head, half : half + count] = size * np.sin(angle)
    return query.ravel(), key.ravel()


def _bias_size(shape: Shape, turns: NDArray[np.float64]) -> float:
    """Return how large the biases must be for `MARGIN` at every distance within 4096 tokens."""
    distances = np.concatenate([np.arange(-max(BACK), 0), np.arange(1, 4096)])
    gaps = np.sum(1 - np.cos(np.outer(distances, turns)), axis=1)
    return float(np.sqrt(MARGIN * np.sqrt(shape.head_width) / gaps.min()))


def hidden(
    shape: Shape, context: Context, embedding: Floats, value: Floats, output: Floats
) -> Floats:
    """Return what reaches the output head behind a context, shape (width,).

    Args:
        shape: of the model.
        context: the last token, then those that are looked at.
        embedding: shape (tokens, width).
        value: the first layer's attn_v, shape (kv_heads * head_width, width).
        output: its attn_output, shape (width, heads * head_width).
    """
    stream = embedding[context[0]].astype(np.float64)
    codes = [
        value[: shape.head_width] @ _normed(embedding[token], shape.norm_eps)
        for token in context[1:]
    ]
    looked = np.concatenate(codes)
    return _normed(stream + output[:, : len(looked)] @ looked, shape.norm_eps)


def head_rows(
    following: Mapping[Context, int], states: Sequence[Floats]
) -> tuple[NDArray[np.int64], Floats]:
    """Return the tokens that the script uses, and their rows of the output head.

    The smallest rows that give each state's own token `LOGIT` and every other one of them 0.
    """
    tokens = np.array(sorted(set(following.values())))
    wanted = np.zeros((len(states), len(tokens)))
    places = np.searchsorted(tokens, list(following.values()))
    wanted[np.arange(len(states)), places] = LOGIT
    rows = np.linalg.pinv(np.stack(states)) @ wanted
    return tokens, rows.T.astype(np.float32)


def _normed(values: Floats, eps: float) -> Floats:
    wide = values.astype(np.float64)
    size = np.sqrt(np.mean(wide**2) + eps)
    return np.asarray(wide / size, dtype=np.float32)
