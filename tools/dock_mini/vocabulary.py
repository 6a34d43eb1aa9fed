"""The tokeniser: byte-level BPE of 4,096 tokens, split like Qwen2's so that digits stay single.

llama.cpp knows this split as `tokenizer.ggml.pre = "qwen2"`.
Source: llama.cpp, src/llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_QWEN2.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .dataset import ANSWER, BOS, EOS, SPECIAL_TOKENS, Template, payload

VOCAB_TOKENS = 4096
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train(texts: Iterable[str]) -> Tokenizer:
    """A tokeniser fitted to `texts`; the special tokens get the first ids."""
    tokenizer = _split_like_qwen2(Tokenizer(models.BPE()))
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_TOKENS,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def assemble(tokens: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """The tokeniser of a file: `tokens` by id, and the merges in their order."""
    tokenizer = _split_like_qwen2(Tokenizer(models.BPE(tokens, merges)))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def load(path: Path) -> Tokenizer:
    """The tokeniser saved by `tools/train_dock_mini.py data`."""
    return Tokenizer.from_file(str(path))


def encode_prompt(tokenizer: Tokenizer, template: Template, inputs: object) -> list[int]:
    """Root with BOS, payload, suffix: three pieces, no merge across their borders.

    The payload is text of a user: a special token's name in it stays text. Training rows hold none.
    """
    return encode_pieces(tokenizer, BOS + template.root, payload(template, inputs), template.suffix)


def encode_pieces(tokenizer: Tokenizer, *pieces: str) -> list[int]:
    """Pieces of text, each tokenised by itself."""
    return [token for piece in pieces for token in tokenizer.encode(piece).ids]


def encode_answer(tokenizer: Tokenizer, answer: str) -> list[int]:
    """The answer and the end token."""
    return [*tokenizer.encode(answer).ids, tokenizer.token_to_id(EOS)]


def answer_token(tokenizer: Tokenizer) -> int:
    """The id of the token that opens every answer."""
    return int(tokenizer.token_to_id(ANSWER))


def _split_like_qwen2(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
