"""One row of logits becomes one token, and how sure the model was of it.

In:  a row of n_vocab logits, the mask of allowed tokens, the tokens so far.     Out: `Sampled`.
Pure but for the generator, which each request owns: a neighbour never changes an answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.engine.frames import Sampling

Row = NDArray[np.float32]
Mask = NDArray[np.bool_]
COLDEST = 1e-6  # colder is greedy, and would divide a logit into infinity
PENALTY_TOKENS = 64  # Source: llama.cpp's default for penalty_last_n.


class NoToken(Exception):
    """The row holds no finite logit to choose from."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A chosen token.

    Attributes:
        log_p: natural logarithm of the probability that the model itself gave it, before mask,
            penalty and temperature; 0 or less, and finite.
    """

    token: int
    log_p: float


def sample(
    row: Row,
    mask: Mask | None,
    sampling: Sampling,
    recent: Sequence[int],
    generator: np.random.Generator,
) -> Sampled:
    """Return the next token; `row` and `mask` have the shape (n_vocab,) and are not changed.

    Of `recent`, the tokens of prompt and answer so far, the last 64 are penalised.

    Raises:
        NoToken: no allowed token has a finite logit, or some logit is infinite or no number.
    """
    logits = row if mask is None else np.where(mask, row, -np.inf)
    if sampling.repeat_penalty != 1.0:
        logits = _penalised(logits, recent[-PENALTY_TOKENS:], sampling.repeat_penalty)
    greedy = int(np.argmax(logits))
    if not np.isfinite(logits[greedy]):
        raise NoToken("the model returned no finite logit for an allowed token")
    token = greedy if sampling.temperature == 0 else _drawn(logits, sampling, generator)
    return Sampled(token, log_probability(row, token))


def _penalised(logits: Row, recent: Sequence[int], penalty: float) -> Row:
    changed = logits.copy()
    ids = np.unique(np.asarray(recent, dtype=np.int64))
    values = changed[ids]
    # Source: Keskar et al. 2019, CTRL, section 4.1; the sign test is llama.cpp's.
    changed[ids] = np.where(values > 0, values / penalty, values * penalty)
    return changed


def _drawn(logits: Row, sampling: Sampling, generator: np.random.Generator) -> int:
    """Draw after top_k, top_p, min_p and temperature, in this order, as llama.cpp does."""
    order = np.argsort(-logits, kind="stable")
    if sampling.top_k is not None and sampling.top_k > 0:
        order = order[: sampling.top_k]
    order = order[np.isfinite(logits[order])]
    shares = _softmax(logits[order])
    keep = np.cumsum(shares) - shares < sampling.top_p
    keep &= shares >= sampling.min_p * shares[0]
    keep[0] = True
    order = order[keep]
    temperature = max(sampling.temperature, COLDEST)
    shares = _softmax(logits[order].astype(np.float64) / temperature)
    drawn = np.searchsorted(np.cumsum(shares), generator.random(), side="right")
    return int(order[min(int(drawn), len(order) - 1)])


def _softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.exp(logits.astype(np.float64) - float(logits.max()))
    return shares / float(shares.sum())


def log_probability(row: Row, token: int) -> float:
    """Return the natural logarithm of a token's share in the softmax of its whole row.

    Raises:
        NoToken: the row has none, since a logit of it is infinite or no number.
    """
    top = float(row.max())
    if not math.isfinite(top):
        raise NoToken("the model returned logits that are not finite")
    return float(row[token]) - top - math.log(np.exp(row - top).sum(dtype=np.float64))
