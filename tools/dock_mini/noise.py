"""How people type on a dock: case, typos, lost accents, lost punctuation. Digits stay as they are.

Codes are protected too: noise touches only words of letters.
"""

from __future__ import annotations

import random
import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]{4,}")
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}
)
_NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "ko", "m": "n", "n": "bm", "o": "ip", "p": "o",
    "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc",
    "y": "tu", "z": "xa",
}  # fmt: skip


def messy(text: str, rng: random.Random) -> str:
    """The message as typed in a hurry."""
    if rng.random() < 0.35:
        text = plain_letters(text, rng)
    for _ in range(rng.choices((0, 1, 2, 3), (75, 16, 6, 3))[0]):
        text = _typo(text, rng)
    if rng.random() < 0.12:
        text = re.sub(r"(?<=\w)[.,;:!?]+(?=\s|$)", "", text)
    return _cased(text, rng)


def plain_letters(text: str, rng: random.Random) -> str:
    """The text without umlauts and accents: ü as ue, or as u."""
    if rng.random() < 0.5:
        return text.translate(_UMLAUTS)
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _cased(text: str, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.17:
        return text.upper()
    if draw < 0.45:
        return text.lower()
    if draw < 0.65:
        return text[:1].upper() + text[1:]
    return text


def _typo(text: str, rng: random.Random) -> str:
    words = list(_WORD.finditer(text))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    return text[:at] + _slip(text[at], text[at + 1], rng) + text[at + 2 :]


def _slip(char: str, following: str, rng: random.Random) -> str:
    kind = rng.randrange(4)
    if kind == 0:
        return following + char
    if kind == 1:
        return following
    if kind == 2:
        return char + char + following
    return rng.choice(_NEIGHBOURS.get(char, char)) + following
