"""Where a text stands in its schema, byte by byte: what may come next, and what must.

In:  a grammar of constraints.py, bytes.     Out: `ByteMatcher`, a value: it never changes.
The search for a closing asks it thousands of small questions that no model's vocabulary can
answer: a token may hold half of a key, and many vocabularies lack some bytes.
"""

from __future__ import annotations

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

END = 256


def byte_tokenizer() -> LLTokenizer:
    """Return a vocabulary of the 256 bytes and an end, as llguidance sees it."""
    return LLTokenizer(TokenizerWrapper(_Bytes()), n_vocab=END + 1, eos_token=END)


class _Bytes:
    eos_token_id = END
    bos_token_id = None
    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")
    special_token_ids = (END,)

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


class ByteMatcher:
    """One place in a grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @classmethod
    def begin(
        cls, tokenizer: LLTokenizer, grammar: str, limits: LLParserLimits
    ) -> ByteMatcher | None:
        """Return the place before the first byte; None when the grammar is too complex."""
        matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
        return None if matcher.is_error() else cls(matcher)

    def after(self, text: bytes) -> ByteMatcher | None:
        """Return the place behind `text`; None when it may not come here."""
        copy = self._matcher.deep_copy()
        taken = copy.try_consume_tokens(list(text))
        return None if taken < len(text) or copy.is_error() else ByteMatcher(copy)

    def forced(self) -> bytes:
        """Return the bytes that must come next; none where there is a choice."""
        return bytes(self._matcher.compute_ff_bytes())

    def allowed(self) -> bytes:
        """Return every byte that may come next, in ascending order."""
        if self._matcher.is_stopped():
            return b""
        bits = allocate_token_bitmask(1, END + 1)
        fill_next_token_bitmask(self._matcher, bits)
        every = np.unpackbits(bits[0].view(np.uint8), bitorder="little")[:END]
        return np.flatnonzero(every).astype(np.uint8).tobytes()

    @property
    def is_accepting(self) -> bool:
        """Whether the value is whole here."""
        return bool(self._matcher.is_accepting())
