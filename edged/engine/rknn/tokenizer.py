"""WordPiece: a text becomes the numbers that a classifier of BERT's family was trained on.

In:  a vocabulary file, one token a line, and a text.     Out: numbers. Pure but for `load`.
Source: BERT, tokenization.py: BasicTokenizer and WordpieceTokenizer, without its rule for Chinese
characters' neighbours, which are split off like punctuation here too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.errors import EngineUnusable

BEGIN, END, PAD, UNKNOWN = "[CLS]", "[SEP]", "[PAD]", "[UNK]"
WORD_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class WordPiece:
    """A vocabulary.

    Attributes:
        numbers: token -> number; pieces inside a word begin with ##.
        lowers: whether case and accents are taken away first.
    """

    numbers: Mapping[str, int]
    lowers: bool = True

    @classmethod
    def load(cls, path: Path, *, lowers: bool) -> WordPiece:
        """Read a vocabulary file.

        Raises:
            EngineUnusable: it cannot be read, or lacks one of the tokens that every prompt needs.
        """
        try:
            tokens = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise EngineUnusable(
                f"{path}: the classifier's vocabulary cannot be read: {error}; give rknn.tokenizer "
                "its vocab.txt"
            ) from error
        numbers = {token: number for number, token in enumerate(tokens)}
        lacking = [token for token in (BEGIN, END, PAD, UNKNOWN) if token not in numbers]
        if lacking:
            raise EngineUnusable(
                f"{path}: this is no WordPiece vocabulary: it lacks {', '.join(lacking)}; give "
                "rknn.tokenizer the vocab.txt that the classifier was trained with"
            )
        return cls(numbers, lowers)

    def encode(self, text: str) -> list[int]:
        """Return a text's numbers, with the one that begins and the one that ends."""
        pieces = [piece for word in self._words(text) for piece in self._pieces(word)]
        return [self.numbers[BEGIN], *pieces, self.numbers[END]]

    def padded(self, numbers: list[int], length: int) -> list[int]:
        """Return numbers filled up to a length."""
        return numbers + [self.numbers[PAD]] * (length - len(numbers))

    def _words(self, text: str) -> list[str]:
        if self.lowers:
            parts = unicodedata.normalize("NFD", text.lower())
            text = "".join(char for char in parts if unicodedata.category(char) != "Mn")
        return "".join(_spaced(text)).split()

    def _pieces(self, word: str) -> Iterator[int]:
        """Yield the longest pieces that make up a word, or the unknown one."""
        found, at = [], 0
        while at < len(word):
            end = next((end for end in range(len(word), at, -1) if self._has(word, at, end)), 0)
            if not end or len(word) > WORD_CHARS_MAX:
                yield self.numbers[UNKNOWN]
                return
            found.append(self.numbers[_piece(word, at, end)])
            at = end
        yield from found

    def _has(self, word: str, at: int, end: int) -> bool:
        return _piece(word, at, end) in self.numbers


def _piece(word: str, at: int, end: int) -> str:
    return word[at:end] if at == 0 else f"##{word[at:end]}"


def _spaced(text: str) -> Iterator[str]:
    for char in text:
        category = unicodedata.category(char)
        if category.startswith("C") and char not in "\t\n\r":
            continue
        yield f" {char} " if _stands_alone(char, category) else char


def _stands_alone(char: str, category: str) -> bool:
    """Return whether a character is a word: punctuation, ASCII's symbols, CJK ideographs."""
    is_symbol = char.isascii() and not char.isalnum() and not char.isspace()
    return is_symbol or category.startswith("P") or "\u4e00" <= char <= "\u9fff"
