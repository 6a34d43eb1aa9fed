"""A vocabulary of real size: another GGUF's own, filled up with made words.

In:  a GGUF with a byte-level BPE vocabulary, how many tokens are wanted.     Out: `Vocabulary`.
A made token is two known ones put together, with the merge that makes it, as a longer training of
the tokenizer would add. It is ranked behind all real merges, so most texts keep their tokens.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

LETTERS_MAX = 16
_KEYS = ("bos_token_id", "eos_token_id", "add_bos_token")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer as a GGUF writes it.

    Attributes:
        kinds: gguf.TokenType of each token.
        merges: "left right", best first.
        keys: further `tokenizer.ggml` keys, as far as the source has them.
    """

    pre: str
    tokens: list[str]
    kinds: list[int]
    merges: list[str]
    keys: Mapping[str, Any]

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return int(self.keys["eos_token_id"])


def read(path: Path) -> Vocabulary:
    """Return the vocabulary of a GGUF; a large one takes half a minute.

    Raises:
        ValueError: it is not byte-level BPE.
    """
    fields = gguf.GGUFReader(path).fields

    def value(name: str) -> Any:
        field = fields.get(f"tokenizer.ggml.{name}")
        return None if field is None else field.contents()

    if value("model") != "gpt2":
        raise ValueError(f"{path}: its vocabulary is {value('model')!r}; byte-level BPE is needed")
    keys = {name: value(name) for name in _KEYS if value(name) is not None}
    return Vocabulary(
        value("pre"), value("tokens"), list(map(int, value("token_type"))), value("merges"), keys
    )


def filled(vocabulary: Vocabulary, n_tokens: int, seed: int = 1) -> Vocabulary:
    """Return it with made tokens up to `n_tokens`; the same seed makes the same ones.

    Raises:
        ValueError: it has more than that already.
    """
    if len(vocabulary.tokens) > n_tokens:
        have = len(vocabulary.tokens)
        raise ValueError(f"the vocabulary has {have} tokens, the shape has room for {n_tokens}")
    normal = int(gguf.TokenType.NORMAL)
    pairs = zip(vocabulary.tokens, vocabulary.kinds, strict=True)
    words = [token for token, kind in pairs if kind == normal]
    made = _made(words, set(vocabulary.tokens), n_tokens - len(vocabulary.tokens), seed)
    return Vocabulary(
        vocabulary.pre,
        [*vocabulary.tokens, *made],
        [*vocabulary.kinds, *[normal] * len(made)],
        [*vocabulary.merges, *made.values()],
        vocabulary.keys,
    )


def _made(words: list[str], known: set[str], count: int, seed: int) -> dict[str, str]:
    """Return new words, each with its merge."""
    chance = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < count:
        left, right = chance.choice(words), chance.choice(words)
        word = left + right
        if len(word) <= LETTERS_MAX and word not in known and word not in made:
            made[word] = f"{left} {right}"
    return made


def add_to(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    """Write it into a GGUF."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    writer.add_token_merges(vocabulary.merges)
    writer.add_eos_token_id(vocabulary.end)
    if "bos_token_id" in vocabulary.keys:
        writer.add_bos_token_id(int(vocabulary.keys["bos_token_id"]))
    writer.add_add_bos_token(bool(vocabulary.keys.get("add_bos_token", False)))
