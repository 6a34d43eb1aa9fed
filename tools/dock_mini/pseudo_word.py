"""Words that no language knows: abbreviations and keywords a reader must skip by their form.

None of them looks like a number misread by a scanner, and none is a count word, a unit or a
carrier.
"""

from __future__ import annotations

import random

from .numbers import WORDS_MAX, number_word

_ONSETS = "b c d f g h j k l m n p r s t v w x y ch st tr kr fr pl br sh th"
_VOWELS = "a a e e i o u y ei au"
_CODAS = "n r t k m x p f v nt rk ft"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Letters that a scanner may have made of a digit.
_LIKE_DIGITS = frozenset("oqdilzsgb")
# Two letters as they stand before a code, in many languages and none.
_TAGS = """
NR NO ID NR NO ID NR NO ID SN TN CN RF RE HB BL FB LS TR SH CO PN LP DO VS ZN KN SD LF AB BN EN
"""
_KNOWN_WORDS = """
dhl dpd gls ups fedex kg kgs kgm kilo kilos pc pcs pce pces piece pieces qty parcel parcels pkg
pkgs carton cartons ctn ctns box boxes package packages kolli colli stk stck stuck paket pakete
bulto bultos caja cajas ud uds un units ea pza pzas pkt pkte ktn kart karton paq colis koli ct bx
cj pz pk st wt gw zip plz cp
"""
_KNOWN = frozenset(_KNOWN_WORDS.split()) | {
    number_word(number, "en") for number in range(1, WORDS_MAX + 1)
}
# A word with such an end could be a misread count or weight with its unit: SKTN is 5 KTN.
_UNITS = (
    "pc",
    "pcs",
    "pce",
    "ctn",
    "ktn",
    "stk",
    "pkt",
    "uds",
    "kolli",
    "pkgs",
    "paq",
    "kg",
    "kgs",
)


def pseudo_word(rng: random.Random) -> str:
    """A made-up word or abbreviation of three to nine letters, now and then with a mark."""
    make = rng.choice((_syllables, _syllables, _abbreviation))
    while not _is_plain(word := make(rng)):
        pass
    word = rng.choice((word.upper(), word.upper(), word, word.capitalize()))
    return word + rng.choice(("", "", "", "", "", "", ".", ":"))


def pseudo_tag(rng: random.Random) -> str:
    """Two letters before a code: often NR, NO or ID, else any two."""
    tag = rng.choice(_TAGS.split()) if rng.random() < 0.6 else "".join(rng.choices(_LETTERS, k=2))
    while tag.lower() in _KNOWN:
        tag = "".join(rng.choices(_LETTERS, k=2))
    return rng.choice((tag, tag, tag, tag.capitalize(), tag.lower()))


def _syllables(rng: random.Random) -> str:
    n_syllables = rng.choice((1, 2, 2, 3))
    onsets, vowels = _ONSETS.split(), _VOWELS.split()
    parts = [rng.choice(onsets) + rng.choice(vowels) for _ in range(n_syllables)]
    return "".join(parts) + rng.choice(("", "", "", *_CODAS.split()))


def _abbreviation(rng: random.Random) -> str:
    return "".join(rng.choices(_LETTERS.lower(), k=rng.choice((3, 3, 4, 4, 5))))


def _is_plain(word: str) -> bool:
    n_like_digits = sum(letter in _LIKE_DIGITS for letter in word)
    known = word in _KNOWN or word.endswith(_UNITS)
    return 3 <= len(word) <= 9 and not known and 2 * n_like_digits < len(word)
