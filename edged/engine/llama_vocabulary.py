"""A GGUF's vocabulary: text to tokens and back.

In:  text.     Out: token ids, bytes. Any thread may use it: llama.cpp only reads here.
Source: llama.h of llama.cpp 0c1e57098, llama_tokenize and llama_token_to_piece.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import warnings
from functools import cached_property, lru_cache
from typing import Any

import llama_cpp
from llguidance import LLTokenizer
from llguidance.llamacpp import lltokenizer_from_vocab

from edged.engine.looks import looks_special
from edged.errors import EngineUnusable

PIECE_BYTES_MAX = 512
# Texts as long as a template's pieces and short prompts are kept with their tokens: constant pieces
# come with every prompt, and a prompt comes to be counted and again to be answered. In a pause for
# the budget this work wakes a processor whose caches are cold, where it costs five times as much.
KEPT_TEXTS, KEPT_CHARS_MAX = 64, 1024


class LlamaVocabulary:
    """Tokenises with the model's own tokenizer; pieces and end tokens are read once."""

    def __init__(self, vocab: Any) -> None:
        self._vocab = vocab
        self.n_tokens = int(llama_cpp.llama_vocab_n_tokens(vocab))
        bos = int(llama_cpp.llama_vocab_bos(vocab))
        self.bos = bos if llama_cpp.llama_vocab_get_add_bos(vocab) and bos >= 0 else None
        self._pieces: dict[int, bytes] = {}
        self._known = lru_cache(KEPT_TEXTS)(self._told)
        self._marks = self._read_marks()
        self._ends = frozenset(
            token for token in range(self.n_tokens) if llama_cpp.llama_vocab_is_eog(vocab, token)
        )

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of `text`, without BOS; special tokens only where asked."""
        told = self._known if len(text) <= KEPT_CHARS_MAX else self._told
        return list(told(text, special=special))

    def _told(self, text: str, *, special: bool) -> tuple[int, ...]:
        tokens = self._tokens(text, special=special)
        if special or self._marks.keys().isdisjoint(tokens):
            return tuple(tokens)
        parts = self._apart(text)
        return tuple(token for part in parts for token in self._tokens(part, special=False))

    def _apart(self, text: str) -> list[str]:
        """Return the text in parts, none of which has a whole special token in it.

        llama.cpp parses those that a GGUF calls user-defined in any text.
        Source: llama-vocab.cpp, tokenizer_st_partition.
        """
        present = [re.escape(mark) for mark in self._marks.values() if mark in text]
        starts = re.finditer(f"(?={'|'.join(present)})", text)
        cuts = [0, *(start.start() + 1 for start in starts), len(text)]
        return [text[begin:end] for begin, end in itertools.pairwise(cuts)]

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        raw = text.encode()
        room = len(raw) + 8
        while True:
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(
                self._vocab, raw, len(raw), tokens, room, False, special
            )
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; nothing for a special one."""
        if token not in self._pieces:
            self._pieces[token] = self._read_piece(token, special=False)
        return self._pieces[token]

    def text_of(self, token: int) -> str:
        """Return how a special token is written in a chat template."""
        return self._read_piece(token, special=True).decode("utf-8", "replace")

    @property
    def bos_text(self) -> str:
        """How the chat template writes the first token."""
        return self._text_if_any(int(llama_cpp.llama_vocab_bos(self._vocab)))

    @property
    def eos_text(self) -> str:
        """How the chat template writes the end token."""
        return self._text_if_any(int(llama_cpp.llama_vocab_eos(self._vocab)))

    def is_end(self, token: int) -> bool:
        """Return whether the model ends its answer with this token."""
        return token in self._ends

    @cached_property
    def guidance(self) -> LLTokenizer:
        """The same vocabulary as llguidance sees it; takes a second for 150,000 tokens."""
        with warnings.catch_warnings():
            # llguidance 1.9.1 calls llama_token_get_attr, which llama-cpp-python 0.3.36 deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            # No slices: each is one more copy of the vocabulary as a tree, 9 MiB of 150,000 tokens,
            # for quicker masks in strings. Most tokens need no mask (see `Matcher.has`).
            ends = sorted(self._ends) or None
            return lltokenizer_from_vocab(self._vocab, eos_token=ends, slices=[])

    def _read_marks(self) -> dict[int, str]:
        """Return the tokens that no text of a device may become, with how they are written.

        All control tokens; of the user-defined ones those that look like one, for many a vocabulary
        has lines and spaces among them.
        """
        control = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
        own = control | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        marks: dict[int, str] = {}
        for token in range(self.n_tokens):
            kind = int(llama_cpp.llama_vocab_get_attr(self._vocab, token))
            if kind & own:
                text = self.text_of(token)
                if len(text) > 1 and (kind & control or looks_special(text)):
                    marks[token] = text
        return marks

    def _text_if_any(self, token: int) -> str:
        return self.text_of(token) if token >= 0 else ""

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(PIECE_BYTES_MAX)
        count = llama_cpp.llama_token_to_piece(
            self._vocab, token, buffer, PIECE_BYTES_MAX, 0, special
        )
        if count < 0:
            raise EngineUnusable(
                f"token {token} of the model has more than {PIECE_BYTES_MAX} bytes"
            )
        return buffer.raw[:count]
