"""A backend without a model: the same tokens always get the same logits, at a set pace.

In, Out: as `Backend`. It answers nonsense, but whole nonsense: bytes as tokens, answers that end,
JSON where a schema asks for it. For tests of daemon and engine, and for a board without a model.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from llguidance import LLTokenizer, TokenizerWrapper

from edged.board.soc import Soc
from edged.engine.backend import Guard, KvFull, Run
from edged.engine.sampling import Row

SPECIAL = ("<|bos|>", "<|end|>", "<|input|>", "<|answer|>", "<|system|>")
BOS, END = 256, 257
N_VOCAB = 256 + len(SPECIAL)
_SPECIAL_ID = {text: 256 + place for place, text in enumerate(SPECIAL)}
_SPECIAL_TEXT = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")


class StepTime(Protocol):
    """How long a step takes."""

    def step_s(self, tokens: int, sequences: int, sampled: int) -> float:
        """Return the seconds of a batch; `sampled` of its `sequences` get a token chosen."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """A pace of its own: s per prompt token, s per sampled sequence."""

    prefill_s: float = 0.0002
    decode_s: float = 0.002

    def step_s(self, tokens: int, sequences: int, sampled: int) -> float:
        """Return the seconds of a batch."""
        return (tokens - sampled) * self.prefill_s + sampled * self.decode_s


@dataclass(frozen=True, slots=True)
class BoardTiming:
    """The pace of a virtual board at full clocks."""

    soc: Soc

    def step_s(self, tokens: int, sequences: int, sampled: int) -> float:
        """Return the seconds of a batch: a decode step where each sequence has one token."""
        soc = self.soc
        if tokens == sequences:
            return soc.decode_s * (1 + soc.sequence_share * (sequences - 1))
        return soc.prefill_fixed_s + tokens * soc.prefill_token_s


class SimVocabulary:
    """Bytes are tokens; a few words in `<|...|>` are special tokens."""

    n_tokens = N_VOCAB
    bos = BOS

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Return the bytes of `text`, and ids over 255 for special tokens where parsed."""
        if not special:
            return list(text.encode())
        tokens: list[int] = []
        for part in _SPECIAL_TEXT.split(text):
            tokens += [_SPECIAL_ID[part]] if part in _SPECIAL_ID else list(part.encode())
        return tokens

    def piece(self, token: int) -> bytes:
        """Return the byte of a token."""
        return bytes([token]) if token < 256 else b""

    def is_end(self, token: int) -> bool:
        """Return whether the token is `<|end|>`."""
        return token == END

    @cached_property
    def guidance(self) -> LLTokenizer:
        """The byte vocabulary as llguidance sees it."""
        return LLTokenizer(TokenizerWrapper(_Bytes()), n_vocab=N_VOCAB, eos_token=END)


class _Bytes:
    eos_token_id = END
    bos_token_id = BOS
    tokens = tuple(bytes([byte]) for byte in range(256)) + tuple(map(str.encode, SPECIAL))
    special_token_ids = tuple(range(256, N_VOCAB))

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


class Sim:
    """The backend: keeps each sequence's tokens as its KV cache."""

    name = "sim"
    mixed_tokens = None
    npu_matmuls: int | None = None

    def __init__(
        self,
        *,
        n_cells: int,
        n_batch: int,
        n_sequences: int,
        timing: StepTime | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.vocabulary = SimVocabulary()
        self.n_cells = n_cells
        self.n_batch = n_batch
        self.n_sequences = n_sequences
        self.prefilled_tokens = 0
        self._timing = timing or Timing()
        self._sleep = sleep
        self._guard = Guard(n_batch, n_sequences, N_VOCAB)
        self._held: list[list[int]] = [[] for _ in range(n_sequences)]
        self._shared: list[int] = [0] * n_sequences

    def decode(self, runs: Sequence[Run]) -> list[Row]:
        """Compute a batch; a row depends on nothing but its own sequence's tokens."""
        self._guard.check(runs)
        total = sum(len(run.tokens) for run in runs)
        if total + self._cells() > self.n_cells:
            raise KvFull(f"{self._cells()} of {self.n_cells} cells are in use")
        sampled = sum(run.is_sampled for run in runs)
        self._sleep(self._timing.step_s(total, len(runs), sampled))
        for run in runs:
            self._held[run.sequence] += run.tokens
        self._guard.note(runs)
        return [_row(self._held[run.sequence]) for run in runs if run.is_sampled]

    def share(self, source: int, target: int, tokens: int) -> None:
        """Let `target` begin with the first `tokens` of `source`."""
        self._guard.note_share(source, target, tokens)
        self._held[target] = self._held[source][:tokens]
        self._shared[target] = tokens

    def drop(self, sequence: int) -> None:
        """Empty a sequence."""
        self._guard.note_drop(sequence)
        self._held[sequence] = []
        self._shared[sequence] = 0

    def close(self) -> None:
        """Nothing is held outside Python."""

    def _cells(self) -> int:
        return sum(map(len, self._held)) - sum(self._shared)


def _row(tokens: Sequence[int]) -> Row:
    seed = zlib.crc32(np.asarray(tokens, dtype=np.int32).tobytes())
    row = np.random.Generator(np.random.PCG64(seed)).standard_normal(N_VOCAB, dtype=np.float32)
    return row + _LEANING


def _leaning() -> Row:
    """Lean to letters, and enough to the ends of strings, values and answers that they come."""
    leaning = np.zeros(N_VOCAB, dtype=np.float32)
    leaning[list(b"abcdefghijklmnopqrstuvwxyz ")] = 3
    leaning[list(b'"}]')] = 4
    leaning[END] = 4
    return leaning


_LEANING = _leaning()
