"""The training rows as tokens: written once by `data`, then cut into batches of similar length.

In: rows of the generators and, if given, of the user. Out: padded (B, T) tokens with the places
whose next token is an answer token.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import plain, vocabulary
from .dataset import GENERATORS, Row, Template, load_templates, payload, read_rows, rows
from .phrase import Split

# Shares of the training mix; plain answers are a by-product.
SHARES = {
    "dock-event": 1.4,
    "cold-chain": 1.1,
    "label-read": 1.1,
    "maintenance-note": 1.5,
    "stock-question": 1.3,
    plain.NAME: 0.2,
}
_CHUNK_BATCHES = 8
_CODE = re.compile(r"\S*\d\S*")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Token rows end to end.

    Attributes:
        tokens: all rows, one after the other.
        starts: where each row starts; one more entry than rows.
        prompts: how many of a row's tokens are prompt.
    """

    tokens: NDArray[np.uint16]
    starts: NDArray[np.int64]
    prompts: NDArray[np.int32]

    @property
    def longest_row_tokens(self) -> int:
        """Tokens of the longest row: positions beyond it were never trained."""
        return int(np.diff(self.starts).max())

    def save(self, path: Path) -> None:
        """Write the corpus to one file."""
        np.savez(path, tokens=self.tokens, starts=self.starts, prompts=self.prompts)

    @classmethod
    def open(cls, path: Path) -> Corpus:
        """Read a corpus that `save` wrote."""
        with np.load(path) as file:
            return cls(file["tokens"], file["starts"], file["prompts"])


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded tokens, (B, T), and masks of the places whose target is answer or prompt."""

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    in_answer: NDArray[np.bool_]
    in_prompt: NDArray[np.bool_]


def training_rows(n_rows: int, seed: int, messages: Path | None, share: float) -> list[Row]:
    """The shuffled mix; with `messages`, that `share` of it comes from the user's own rows."""
    own = _own_rows(messages) if messages is not None else []
    n_own = round(n_rows * share) if own else 0
    total = sum(SHARES.values())
    mix = [
        row
        for name in GENERATORS
        for row in rows(name, Split.TRAIN, round((n_rows - n_own) * SHARES[name] / total), seed)
    ]
    mix += [own[number % len(own)] for number in range(n_own)]
    random.Random(seed).shuffle(mix)
    return mix


def vocabulary_texts(mix: Sequence[Row], n_rows: int) -> Iterator[str]:
    """Texts to fit the tokeniser to: roots, payloads and answers of the first rows.

    Words with a digit are left out, so that codes stay single letters and digits, easy to copy.
    """
    templates = load_templates()
    for row in mix[:n_rows]:
        yield templates[row.template].root
        yield _CODE.sub("", payload(templates[row.template], row.inputs))
        yield row.answer()


def build(tokenizer: Any, mix: Sequence[Row]) -> Corpus:
    """Tokenise the mix in the pieces the engine uses."""
    templates = load_templates()
    prompts = [_prompt(tokenizer, templates[row.template], row.inputs) for row in mix]
    answers = [vocabulary.encode_answer(tokenizer, row) for row in mix]
    lengths = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)]
    tokens = [token for p, a in zip(prompts, answers, strict=True) for token in (*p, *a)]
    return Corpus(
        np.array(tokens, np.uint16),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([len(p) for p in prompts], np.int32),
    )


def batches(corpus: Corpus, n_seqs: int, seed: int, first: int = 0) -> Iterator[Batch]:
    """Batches for ever; the order follows from the seed, `first` skips what was trained already."""
    n_rows = len(corpus.prompts)
    per_epoch = n_rows // n_seqs
    for epoch in range(first // per_epoch, 1 << 30):
        skip = first - epoch * per_epoch if epoch == first // per_epoch else 0
        for members in _epoch(corpus, n_seqs, seed + epoch)[skip:]:
            yield _padded(corpus, members)


def _own_rows(messages: Path) -> list[Row]:
    return [
        row
        for path in sorted(messages.glob("*.jsonl"))
        for row in read_rows(path, path.stem)
    ]  # fmt: skip


def _prompt(tokenizer: Any, template: Template, inputs: Any) -> list[int]:
    return vocabulary.encode_prompt(tokenizer, template, inputs)


def _epoch(corpus: Corpus, n_seqs: int, seed: int) -> list[NDArray[np.int64]]:
    """Row numbers of each batch: neighbours in length within a chunk, batches shuffled."""
    rng = np.random.default_rng(seed)
    lengths = np.diff(corpus.starts)
    order = rng.permutation(len(lengths))
    members: list[NDArray[np.int64]] = []
    for at in range(0, len(order) - n_seqs + 1, n_seqs * _CHUNK_BATCHES):
        chunk = order[at : at + n_seqs * _CHUNK_BATCHES]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        whole = len(chunk) // n_seqs
        parts = [chunk[part * n_seqs : (part + 1) * n_seqs] for part in range(whole)]
        members += [parts[part] for part in rng.permutation(whole)]
    return members


def _padded(corpus: Corpus, members: NDArray[np.int64]) -> Batch:
    n_tokens = int((corpus.starts[members + 1] - corpus.starts[members]).max()) - 1
    inputs = np.zeros((len(members), n_tokens), np.int64)
    targets = np.zeros_like(inputs)
    in_answer = np.zeros(inputs.shape, np.bool_)
    in_prompt = np.zeros(inputs.shape, np.bool_)
    for at, row in enumerate(members):
        tokens = corpus.tokens[corpus.starts[row] : corpus.starts[row + 1]]
        inputs[at, : len(tokens) - 1] = tokens[:-1]
        targets[at, : len(tokens) - 1] = tokens[1:]
        in_answer[at, corpus.prompts[row] - 1 : len(tokens) - 1] = True
        in_prompt[at, : corpus.prompts[row] - 1] = True
    return Batch(inputs, targets, in_answer, in_prompt)
