"""What computes logits: the seam behind which `llama` and `sim` stand.

In:  runs of tokens at positions of KV sequences.     Out: one row of logits per sampled run.
Threads: a `Backend` belongs to the step thread; its `Vocabulary` may be used by any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from llguidance import LLTokenizer

from edged.engine.sampling import Row


class KvFull(Exception):
    """The KV cache has no room for this batch; nothing of it was computed."""


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens that follow each other in one KV sequence.

    Attributes:
        sequence: KV sequence id, 0 and up.
        start: position of the first one; what the sequence holds already.
        is_sampled: whether the logits behind the last one are wanted.
    """

    sequence: int
    start: int
    tokens: Sequence[int]
    is_sampled: bool


class Vocabulary(Protocol):
    """Text to tokens and back."""

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary; the width of a row of logits."""

    @property
    def bos(self) -> int | None:
        """The token in front of every prompt; None when the model wants none."""

    @property
    def guidance(self) -> LLTokenizer:
        """The same vocabulary as llguidance sees it."""

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of `text`; where not `special`, `<|end|>` is seven characters."""

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; nothing for a special one."""

    def is_end(self, token: int) -> bool:
        """Return whether the model ends its answer with this token."""


class Backend(Protocol):
    """A resident model with its KV cache."""

    @property
    def name(self) -> str:
        """`llama` or `sim`."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Text to tokens and back."""

    @property
    def n_cells(self) -> int:
        """Tokens that the KV cache holds, all sequences together."""

    @property
    def n_batch(self) -> int:
        """Tokens in one call of `decode`, at most."""

    @property
    def mixed_tokens(self) -> int | None:
        """Tokens of several sequences that cost least in one call; None: the more the better."""

    @property
    def n_sequences(self) -> int:
        """KV sequence ids, 0 up to one less."""

    @property
    def npu_matmuls(self) -> int | None:
        """Products of matrices that the NPU has executed so far; None without one."""

    def decode(self, runs: Sequence[Run]) -> list[Row]:
        """Compute a batch; return one row per sampled run, in order, valid until the next call.

        Raises:
            KvFull: nothing was computed; make room and try again.
            EngineUnusable: the model cannot go on.
        """

    def share(self, source: int, target: int, tokens: int) -> None:
        """Let the empty sequence `target` begin with the first `tokens` of `source`.

        Under a sliding window that is all that `source` holds.
        """

    def drop(self, sequence: int) -> None:
        """Empty a sequence; cells shared with others stay theirs."""

    def close(self) -> None:
        """Give the memory back."""


class Guard:
    """Knows what every KV sequence holds and refuses what would abort the process.

    Source: llama.cpp 0c1e57098 (llama-cpp-python 0.3.36): GGML_ASSERT ends the process when a
    batch is over n_batch or a sequence id over n_seq_max; a gap in positions fails the decode.
    Layers with a sliding window give up what lies before the window of a sequence's own end, so
    they can be shared from that end alone; llama.cpp would answer from what is left.
    """

    def __init__(
        self, n_batch: int, n_sequences: int, n_vocab: int, *, has_window: bool = False
    ) -> None:
        self._n_batch = n_batch
        self._has_window = has_window
        self._n_vocab = n_vocab
        self._held = [0] * n_sequences

    def check(self, runs: Iterable[Run]) -> None:
        """Raise ValueError, a bug of the caller, when a batch breaks a rule."""
        runs = list(runs)
        total = sum(len(run.tokens) for run in runs)
        if not 1 <= total <= self._n_batch:
            raise ValueError(f"a batch of {total} tokens; 1 to {self._n_batch} are possible")
        if len({run.sequence for run in runs}) != len(runs):
            raise ValueError("two runs of the same sequence in one batch")
        for run in runs:
            if not 0 <= run.sequence < len(self._held):
                raise ValueError(f"KV sequence {run.sequence} of {len(self._held)}")
            if run.start != self._held[run.sequence] or not run.tokens:
                raise ValueError(f"a run at {run.start}, {self._held[run.sequence]} are held")
            if min(run.tokens) < 0 or max(run.tokens) >= self._n_vocab:
                raise ValueError(f"a token outside the vocabulary of {self._n_vocab}")

    def note(self, runs: Iterable[Run]) -> None:
        """Take down that these runs were computed."""
        for run in runs:
            self._held[run.sequence] += len(run.tokens)

    def note_share(self, source: int, target: int, tokens: int) -> None:
        """Check and take down that `target` begins like `source`."""
        if self._held[target] or tokens > self._held[source]:
            raise ValueError(f"sharing {tokens} tokens of {source} with {target}")
        if self._has_window and tokens < self._held[source]:
            raise ValueError(
                f"sharing {tokens} of {self._held[source]} tokens under a sliding window"
            )
        self._held[target] = tokens

    def note_drop(self, sequence: int) -> None:
        """Take down that a sequence is empty."""
        self._held[sequence] = 0
