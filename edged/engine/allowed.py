"""Which tokens may come next, as the schema's automaton says it: one bit for each.

In:  the bits, 32 to a word.     Out: a short list, or a mask of all.
Pure. Where few tokens are allowed nothing of the vocabulary's width is made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD_BITS = 32
# Of more words than this a mask of all tokens is as quick.
FEW_WORDS = 256


class Allowed:
    """The tokens that may come next; at least one may, as `Matcher.allowed` sees to.

    Args:
        words: shape (n_tokens / 32, rounded up), int32; bits from the lowest on. Looked at, never
            copied: they hold until the matcher is asked again.
        n_tokens: of the vocabulary.
    """

    def __init__(self, words: NDArray[np.int32], n_tokens: int) -> None:
        self._words = words
        self._n_tokens = n_tokens

    def few(self) -> NDArray[np.intp] | None:
        """Return those that may come, ascending; None where they lie in too many words."""
        places = np.flatnonzero(self._words)
        if len(places) > FEW_WORDS:
            return None
        bits = _unpacked(self._words[places]).reshape(-1, _WORD_BITS)
        which, bit = np.nonzero(bits)
        tokens: NDArray[np.intp] = places[which] * _WORD_BITS + bit
        return tokens[tokens < self._n_tokens]

    def mask(self) -> NDArray[np.bool_]:
        """Return which may come, shape (n_tokens,)."""
        return _unpacked(self._words)[: self._n_tokens].view(np.bool_)


def _unpacked(words: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.unpackbits(words.view(np.uint8), bitorder="little")
