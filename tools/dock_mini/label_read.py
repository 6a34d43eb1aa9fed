"""Rows of label-read: fields in a random order, with the confusions of optical reading put in.

In: shipment codes, postcodes, pieces and weights. Out: the text a scanner would give, and the clean
fields.
"""

from __future__ import annotations

import random

from . import labels
from .dock_event import aside_value
from .label_phrases import ASIDE, CARRIER, PIECES, POSTCODE, SHIPMENT, WEIGHT
from .numbers import written
from .phrase import Phrases, Split, fill, slots
from .pools import draw, draw_number
from .pseudo_word import pseudo_tag, pseudo_word

NAME = "label-read"
CARRIERS = ("DHL", "DPD", "GLS", "UPS", "FEDEX")

# How a scanner misreads a digit, and how it misreads a letter.
_DIGIT_AS = {"0": "OOQDo", "1": "Il|lI", "2": "ZZz", "5": "SSs", "6": "Gb", "8": "BB"}
_LETTER_AS = {"O": "0", "I": "1", "Z": "2", "S": "5", "G": "6", "B": "8"}
_SEPARATORS_READ = ("\n", "\n", " / ", " | ", "  ", " ", " ; ", ", ", " * ", ". ", " - ")
_SEPARATORS = {
    Split.TRAIN: (*_SEPARATORS_READ, "\n\n", "; ", " || ", " // ", "|", " > ", " _ ", "\n- "),
    Split.CALIBRATION: _SEPARATORS_READ,
    Split.HELD_OUT: _SEPARATORS_READ,
}
# How often a label has no aside, one, two and so on.
_ASIDES = {
    Split.TRAIN: (4, 4, 3, 2),
    Split.CALIBRATION: (5, 4, 2),
    Split.HELD_OUT: (5, 4, 2),
}
# What may stand between a keyword and its value, in training.
_BETWEEN = (
    *(": ", ":", " ", " ", " ", ". ", ".", "=", " = ", "->", " -> ", "::", " :: ", "_", " : "),
    *("#", " #", "-", " - ", "/", " / ", "|", " | ", ">", "=>", "~", " * ", "\n", " .... ", ".: "),
)

_MADE_UP = {"word": pseudo_word, "tag": pseudo_tag}
_STREETS = (
    "HARBOUR RD",
    "Hauptstr.",
    "MAIN ST",
    "Bahnhofstr",
    "CALLE MAYOR",
    "STATION ROAD",
    "Industriestr.",
    "MILL LANE",
    "DOCK ROAD",
    "Gartenweg",
    "AVDA DEL PUERTO",
    "Ringstr",
    "PARK AVE",
)


def phrase_groups() -> list[Phrases]:
    """Every phrase group of the template, for audits."""
    return [SHIPMENT, POSTCODE, PIECES, WEIGHT, CARRIER, ASIDE]


def row(split: Split, rng: random.Random) -> tuple[str, labels.Answer]:
    """One label as read, and its clean fields."""
    carrier = rng.choice(CARRIERS) if rng.random() < 0.88 else None
    shipment = draw("shipment", split, rng)
    postcode = draw("postcode", split, rng) if rng.random() < 0.9 else None
    pieces = draw_number("pieces", split, rng) if rng.random() < 0.65 else None
    weight_kg = draw_number("weight_kg", split, rng) if rng.random() < 0.72 else None
    p_noise = rng.choice((0.0, 0.2, 0.5, 0.9))
    values = {
        "carrier": _carrier_as_read(carrier, rng) if carrier else "",
        "shipment": _shipment_as_read(shipment, p_noise, split, rng),
        "postcode": misread(postcode or "", p_noise, rng),
        "pieces": _count_as_read(pieces, p_noise, rng) if pieces else "",
        "weight": _weight_as_read(weight_kg, p_noise, rng) if weight_kg else "",
    }
    text = _layout(values, split, rng)
    return text, labels.label_read(carrier, shipment, postcode, pieces, weight_kg)


def misread(digits: str, p_noise: float, rng: random.Random) -> str:
    """Digits as a scanner may read them; each confusable one with probability `p_noise`."""
    return "".join(
        rng.choice(_DIGIT_AS[digit]) if digit in _DIGIT_AS and rng.random() < p_noise else digit
        for digit in digits
    )


def _layout(values: dict[str, str], split: Split, rng: random.Random) -> str:
    groups = {"carrier": CARRIER, "shipment": SHIPMENT, "postcode": POSTCODE}
    groups |= {"pieces": PIECES, "weight": WEIGHT}
    parts = [groups[name].draw(split, rng) for name, value in values.items() if value]
    n_asides = rng.choices(range(len(_ASIDES[split])), _ASIDES[split])[0]
    parts += [ASIDE.draw(split, rng) for _ in range(n_asides)]
    if rng.random() < 0.65:
        rng.shuffle(parts)
    separator = rng.choice(_SEPARATORS[split])
    texts = []
    for part in parts:
        text = fill(part, lambda name: values.get(name) or _aside(name, split, rng))
        texts.append(_cased(part, text, rng))
    text = separator.join(texts)
    return (
        text if rng.random() < 0.9 else text.replace(separator, rng.choice(_SEPARATORS[split]), 1)
    )


def _cased(part: str, text: str, rng: random.Random) -> str:
    # The code keeps its case: l for 1 and O for 0 are what is to be read.
    if slots(part) & {"shipment", "postcode", "pieces", "weight"}:
        return text
    return rng.choice((text, text, text.upper(), text.lower()))


def _carrier_as_read(carrier: str, rng: random.Random) -> str:
    spoken = "FedEx" if carrier == "FEDEX" else carrier
    return rng.choice((carrier, carrier, spoken, carrier.lower(), " ".join(carrier), spoken))


def _shipment_as_read(shipment: str, p_noise: float, split: Split, rng: random.Random) -> str:
    letters = "".join(
        _LETTER_AS[char] if char in _LETTER_AS and rng.random() < p_noise / 2 else char
        for char in shipment[:2]
    )
    digits = misread(shipment[2:], p_noise, rng)
    gap = rng.choice(("", "", " ", " ", "-", " ", "."))
    if split is Split.TRAIN and rng.random() < 0.3:
        return _freely_grouped(letters, digits, gap, rng)
    group = rng.choice((6, 6, 3, 3, 2))
    groups = [digits[at : at + group] for at in range(0, 6, group)]
    return gap.join([letters + rng.choice(("", gap)) + groups[0], *groups[1:]])


def _freely_grouped(letters: str, digits: str, gap: str, rng: random.Random) -> str:
    """Groups of any length, and now and then a gap between letters and digits alone."""
    cuts = sorted(rng.sample(range(1, 6), rng.choice((0, 1, 1, 2))))
    groups = [digits[at:end] for at, end in zip([0, *cuts], [*cuts, 6], strict=True)]
    gap = rng.choice((gap, "-", " ", "_"))
    return letters + rng.choice(("", gap, gap, "-", " ")) + gap.join(groups)


def _count_as_read(count: int, p_noise: float, rng: random.Random) -> str:
    word = written(count, "en", rng, p_word=0.08)
    return misread(word, p_noise, rng) if word.isdigit() else word


def _weight_as_read(weight_kg: int, p_noise: float, rng: random.Random) -> str:
    text = misread(str(weight_kg), p_noise, rng)
    decimals = rng.choice((".", ",")) + str(rng.randint(0, 9)) + rng.choice(("", "", "0", "5"))
    return text + (decimals if rng.random() < 0.35 else "")


def _aside(name: str, split: Split, rng: random.Random) -> str:
    if name == "street":
        return rng.choice(_STREETS)
    if name == "house":
        return str(rng.randint(1, 199))
    if name == "phone":
        # Never a group of five digits, which would be a postcode.
        ending = rng.choice(("", "00", "127"))
        return f"0{rng.randint(100, 999)} {rng.randint(1000, 9999)}{ending}"
    if name == "date":
        return f"{rng.randint(1, 28):02d}.{rng.randint(1, 12):02d}." + rng.choice(
            ("", "26", "2026")
        )
    if name == "serial":
        return str(rng.randint(10**6, 10 ** rng.choice((7, 8, 9)) - 1))
    if name == "sep":
        return rng.choice(_BETWEEN)
    if name in _MADE_UP:
        return _MADE_UP[name](rng)
    return aside_value(name, split, rng)
