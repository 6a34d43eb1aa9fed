"""Number words of English, German and Spanish from 1 to 99, and how a message writes a number."""

from __future__ import annotations

import random

_EN = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_EN_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_DE = [
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
]
_DE_TENS = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
_ES = [
    "uno",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "trece",
    "catorce",
    "quince",
    "dieciséis",
    "diecisiete",
    "dieciocho",
    "diecinueve",
    "veinte",
    "veintiuno",
    "veintidós",
    "veintitrés",
    "veinticuatro",
    "veinticinco",
    "veintiséis",
    "veintisiete",
    "veintiocho",
    "veintinueve",
]
_ES_TENS = ["treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"]

WORDS_MAX = 99


def number_word(number: int, language: str) -> str:
    """The word for 1 to 99 in `en`, `de` or `es`."""
    if language == "de":
        return _german(number)
    if language == "es":
        return _spanish(number)
    return _english(number)


def written(number: int, language: str, rng: random.Random, p_word: float = 0.15) -> str:
    """A number as digits, or now and then as a word where there is one."""
    if 1 <= number <= WORDS_MAX and rng.random() < p_word:
        return number_word(number, language)
    return str(number)


def _english(number: int) -> str:
    if number < 20:
        return _EN[number - 1]
    tens, ones = divmod(number, 10)
    return _EN_TENS[tens - 2] + (f"-{_EN[ones - 1]}" if ones else "")


def _german(number: int) -> str:
    if number < 20:
        return _DE[number - 1]
    tens, ones = divmod(number, 10)
    stem = "ein" if ones == 1 else _DE[ones - 1]
    return (f"{stem}und" if ones else "") + _DE_TENS[tens - 2]


def _spanish(number: int) -> str:
    if number < 30:
        return _ES[number - 1]
    tens, ones = divmod(number, 10)
    return _ES_TENS[tens - 3] + (f" y {_ES[ones - 1]}" if ones else "")
