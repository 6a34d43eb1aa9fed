"""One row of logits becomes one token, and how sure the model was of it.

In:  a row of n_vocab logits, the place in the schema, the tokens so far.     Out: `Sampled`.
Pure but for the generator, which each request owns: a neighbour never changes an answer.
A row may be a megabyte wide: it is read as often as needed and copied only to be penalised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edged.engine.allowed import Allowed
from edged.engine.draw import drawn, mass
from edged.engine.frames import Sampling

Row = NDArray[np.float32]
PENALTY_TOKENS = 64  # Source: llama.cpp's default for penalty_last_n.
# Logits so far below the likeliest add at most 1e-13 each: a vocabulary of them less than float32
# can tell from nothing.
NEGLIGIBLE = np.float32(30.0)
# Where more of a row counts, all of it is as quick as the part that does.
NEAR_SHARE_MAX = 0.1


class Schema(Protocol):
    """Where an answer stands in its schema."""

    def has(self, token: int) -> bool:
        """Return whether this token may come next."""

    def allowed(self) -> Allowed:
        """Return all that may come next."""


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
    schema: Schema | None,
    sampling: Sampling,
    recent: Sequence[int],
    generator: Random,
) -> Sampled:
    """Return the next token; `row` has the shape (n_vocab,) and is not changed.

    Of `recent`, the tokens of prompt and answer so far, the last 64 are penalised.

    Raises:
        NoToken: no allowed token has a finite logit, or some logit is infinite or no number.
    """
    top = likeliest = int(np.argmax(row))
    logits = row
    if sampling.repeat_penalty != 1.0:
        logits = _penalised(row, recent[-PENALTY_TOKENS:], sampling.repeat_penalty)
        likeliest = int(np.argmax(logits))
    if sampling.temperature == 0 and (schema is None or schema.has(likeliest)):
        token = likeliest
        if not np.isfinite(logits[token]):
            raise NoToken("the model returned no finite logit for an allowed token")
    else:
        allowed = None if schema is None else schema.allowed()
        token = _chosen(logits, allowed, sampling, generator)
    return Sampled(token, log_probability(row, token, float(row[top])))


def _chosen(logits: Row, allowed: Allowed | None, sampling: Sampling, generator: Random) -> int:
    """Return the token among those allowed: the likeliest, or a drawn one."""
    few = None if allowed is None else allowed.few()
    if few is not None:
        logits = logits[few]
    elif allowed is not None:
        logits = np.where(allowed.mask(), logits, np.float32(-np.inf))
    place = int(np.argmax(logits))
    if not np.isfinite(logits[place]):
        raise NoToken("the model returned no finite logit for an allowed token")
    if sampling.temperature > 0:
        place = drawn(logits, sampling, generator.random())
    return place if few is None else int(few[place])


def _penalised(logits: Row, recent: Sequence[int], penalty: float) -> Row:
    changed = logits.copy()
    ids = np.unique(np.asarray(recent, dtype=np.int64))
    values = changed[ids]
    # Source: Keskar et al. 2019, CTRL, section 4.1; the sign test is llama.cpp's.
    changed[ids] = np.where(values > 0, values / penalty, values * penalty)
    return changed


def log_probability(row: Row, token: int, top: float) -> float:
    """Return the natural logarithm of a token's share in the softmax of its row.

    Args:
        row: logits of the whole vocabulary, not masked.
        token: its place in the row.
        top: the greatest logit of the row.

    Raises:
        NoToken: the row has none, since a logit of it is infinite or no number.
    """
    if not math.isfinite(top):
        raise NoToken("the model returned logits that are not finite")
    return float(row[token]) - top - math.log(row_mass(row, top))


def row_mass(row: Row, top: float) -> float:
    """Return the sum of exp(logit - top) over a row whose greatest logit is `top`."""
    is_near = row >= np.float32(top) - NEGLIGIBLE
    is_sparse = np.count_nonzero(is_near) <= NEAR_SHARE_MAX * len(row)
    return mass(row[np.flatnonzero(is_near)] if is_sparse else row, top)
