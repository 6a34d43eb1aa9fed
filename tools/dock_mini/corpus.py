"""The training rows as tokens: written once by `data`, then cut into batches of similar length.

In: rows of the generators and, if given, of the user. Out: padded (B, T) tokens with the places
whose next token is an answer token.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import plain, stock_question, vocabulary
from .dataset import GENERATORS, Row, Template, load_templates, payload, read_rows, rows
from .phrase import Split

# Shares of the training mix: what is learned last has the most rows, and plain answers are a
# by-product.
SHARES = {
    "dock-event": 1.3,
    "cold-chain": 1.3,
    "label-read": 1.8,
    "maintenance-note": 1.6,
    "stock-question": 1.0,
    plain.NAME: 0.1,
}
# The share of the rows whose answer is on the compact wire; its first token tells the two apart.
COMPACT_SHARE = 0.5
# Questions about one table in one training row, at most.
QUESTIONS_MAX = 6
_CHUNK_ROWS = 512
_CODE = re.compile(r"\S*\d\S*")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Token rows end to end.

    Attributes:
        tokens: all rows, one after the other.
        is_answer: which of the tokens are of an answer; the rest are prompt.
        starts: where each row starts; one more entry than rows.
    """

    tokens: NDArray[np.uint16]
    is_answer: NDArray[np.bool_]
    starts: NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1

    @property
    def longest_row_tokens(self) -> int:
        """Tokens of the longest row: positions beyond it were never trained."""
        return int(np.diff(self.starts).max())

    def save(self, path: Path) -> None:
        """Write the corpus to one file."""
        np.savez(path, tokens=self.tokens, is_answer=self.is_answer, starts=self.starts)

    @classmethod
    def open(cls, path: Path) -> Corpus:
        """Read a corpus that `save` wrote."""
        with np.load(path) as file:
            return cls(file["tokens"], file["is_answer"], file["starts"])


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


def build(tokenizer: Any, mix: Sequence[Row], seed: int) -> Corpus:
    """Tokenise the mix in the pieces the engine uses; `seed` draws forms and further questions."""
    templates = load_templates()
    rng = random.Random(f"corpus/{seed}")
    rows_pieces = [_pieces(tokenizer, templates[row.template], row, rng) for row in mix]
    lengths = [sum(len(tokens) for tokens, _ in pieces) for pieces in rows_pieces]
    every = [piece for pieces in rows_pieces for piece in pieces]
    return Corpus(
        np.concatenate([np.array(tokens, np.uint16) for tokens, _ in every]),
        np.concatenate([np.full(len(tokens), is_answer) for tokens, is_answer in every]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def batches(corpus: Corpus, n_tokens: int, seed: int, first: int = 0) -> Iterator[Batch]:
    """Batches for ever; the order follows from the seed, `first` skips what was trained already."""
    for epoch in itertools.count():
        members = _epoch(corpus, n_tokens, seed + epoch)
        for one in members[first:]:
            yield _padded(corpus, one)
        first = max(0, first - len(members))


def _own_rows(messages: Path) -> list[Row]:
    return [
        row
        for path in sorted(messages.glob("*.jsonl"))
        for row in read_rows(path, path.stem)
    ]  # fmt: skip


def _pieces(
    tokenizer: Any, template: Template, row: Row, rng: random.Random
) -> list[tuple[list[int], bool]]:
    """Tokens of prompt and answer in turn, each with whether it is an answer."""
    first = vocabulary.encode_prompt(tokenizer, template, row.inputs)
    pieces = [(first, False), (_answer(tokenizer, row, rng), True)]
    if template.name != stock_question.NAME:
        return pieces
    # A table costs most of the tokens: more questions about it teach more for the same time.
    table = row.inputs["table"]
    for _ in range(rng.randint(0, QUESTIONS_MAX - 1)):
        more = Row(template.name, *stock_question.question(table, Split.TRAIN, rng))
        asked = vocabulary.encode_pieces(tokenizer, "\n" + more.inputs["question"], template.suffix)
        pieces += [(asked, False), (_answer(tokenizer, more, rng), True)]
    return pieces


def _answer(tokenizer: Any, row: Row, rng: random.Random) -> list[int]:
    text = row.values() if rng.random() < COMPACT_SHARE else row.answer()
    return vocabulary.encode_answer(tokenizer, text)


def _epoch(corpus: Corpus, n_tokens: int, seed: int) -> list[NDArray[np.int64]]:
    """Row numbers of each batch: neighbours in length within a chunk, batches shuffled."""
    rng = np.random.default_rng(seed)
    lengths = np.diff(corpus.starts)
    order = rng.permutation(len(lengths))
    members: list[NDArray[np.int64]] = []
    for at in range(0, len(order), _CHUNK_ROWS):
        chunk = order[at : at + _CHUNK_ROWS]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        while len(chunk):
            # Sorted: the last of the rows that fit is the longest, and all are padded to it.
            fits = np.flatnonzero(lengths[chunk] * np.arange(1, len(chunk) + 1) <= n_tokens)
            count = int(fits[-1]) + 1 if len(fits) else 1
            members.append(chunk[:count])
            chunk = chunk[count:]
    return [members[one] for one in rng.permutation(len(members))]


def _padded(corpus: Corpus, members: NDArray[np.int64]) -> Batch:
    n_tokens = int((corpus.starts[members + 1] - corpus.starts[members]).max()) - 1
    inputs = np.zeros((len(members), n_tokens), np.int64)
    targets = np.zeros_like(inputs)
    in_answer = np.zeros(inputs.shape, np.bool_)
    in_prompt = np.zeros(inputs.shape, np.bool_)
    for at, row in enumerate(members):
        place = slice(corpus.starts[row], corpus.starts[row + 1])
        tokens, is_answer = corpus.tokens[place], corpus.is_answer[place]
        inputs[at, : len(tokens) - 1] = tokens[:-1]
        targets[at, : len(tokens) - 1] = tokens[1:]
        in_answer[at, : len(tokens) - 1] = is_answer[1:]
        in_prompt[at, : len(tokens) - 1] = ~is_answer[1:]
    return Batch(inputs, targets, in_answer, in_prompt)
