"""Rows of stock-question: a random table, and a question about one of its rows."""

from __future__ import annotations

import random
from typing import Any

from . import labels, noise
from .dock_event import aside_value
from .phrase import Phrases, Split, fill
from .pools import draw, draw_number
from .stock_phrases import ASIDE, QUESTIONS

NAME = "stock-question"
ROWS_MAX = 6
Row = tuple[str, str, int]

# How often each kind of question is drawn. Training leans to what is hard: finding a row by its
# bin, which stands behind the item, and comparing quantities.
_WEIGHTS: dict[Split, dict[str, float]] = {
    Split.TRAIN: {"item": 1.5, "bin": 4, "most": 2, "least": 2},
    Split.CALIBRATION: {"item": 3, "bin": 3, "most": 1, "least": 1},
    Split.HELD_OUT: {"item": 3, "bin": 3, "most": 1, "least": 1},
}


def phrase_groups() -> list[Phrases]:
    """Every phrase group of the template, for audits."""
    return [*QUESTIONS.values(), ASIDE]


def row(split: Split, rng: random.Random) -> tuple[dict[str, Any], labels.Answer]:
    """One table with its question, and the row that answers."""
    return question(_table(split, rng), split, rng)


def question(
    table: list[Row], split: Split, rng: random.Random
) -> tuple[dict[str, Any], labels.Answer]:
    """One question about a table, and the row that answers."""
    kinds = list(QUESTIONS)
    weights = _WEIGHTS[split]
    key, asked = rng.choices(kinds, [weights[key] for key, _ in kinds])[0]
    answer_row = _answer_row(key, table, rng)
    named = _named(key, answer_row, table, split, rng)
    phrase = QUESTIONS[key, asked].draw(split, rng)
    text = noise.messy(_asked(fill(phrase, lambda _: "\0"), split, rng), rng)
    named = named.lower() if text.islower() or rng.random() < 0.1 else named
    inputs = {"table": [list(line) for line in table], "question": text.replace("\0", named)}
    return inputs, labels.stock_question(asked, answer_row)


def _table(split: Split, rng: random.Random) -> list[Row]:
    """Rows with different items, bins and quantities."""
    n_rows = rng.choices(range(1, ROWS_MAX + 1), (1, 4, 6, 6, 5, 4))[0]
    items: dict[str, None] = {}
    while len(items) < n_rows:
        items[draw("item", split, rng)] = None
    return list(zip(items, _bins(n_rows, split, rng), _quantities(n_rows, split, rng), strict=True))


def _bins(n_rows: int, split: Split, rng: random.Random) -> list[str]:
    bins: dict[str, None] = {}
    aisles = rng.choices("ABCDEFGHJKLMNPRSTU", k=rng.choice((1, 2, 6)))
    while len(bins) < n_rows:
        name = draw("bin", split, rng)
        # Real tables are often of one aisle, whose bins differ in a digit only.
        if rng.random() < 0.05 or name[0] in aisles:
            bins[name] = None
    return sorted(bins) if rng.random() < 0.6 else list(bins)


def _quantities(n_rows: int, split: Split, rng: random.Random) -> list[int]:
    quantities: dict[int, None] = {}
    while len(quantities) < n_rows:
        quantities[draw_number("quantity", split, rng)] = None
    return list(quantities)


def _answer_row(key: str, table: list[Row], rng: random.Random) -> Row | None:
    if key in ("most", "least"):
        pick = max if key == "most" else min
        return pick(table, key=lambda line: line[2])
    return None if rng.random() < 0.1 else rng.choice(table)


def _named(
    key: str, answer_row: Row | None, table: list[Row], split: Split, rng: random.Random
) -> str:
    """The item or bin that the question names; one outside the table when nothing answers."""
    if key in ("most", "least"):
        return ""
    column = 0 if key == "item" else 1
    if answer_row is not None:
        return str(answer_row[column])
    taken = {line[column] for line in table}
    while (value := draw(key, split, rng)) in taken:
        pass
    return value


def _asked(phrase: str, split: Split, rng: random.Random) -> str:
    question = phrase + rng.choice(("", "", "?", "?", "??", " please", " pls"))
    if rng.random() < 0.3:
        aside = fill(ASIDE.draw(split, rng), lambda name: aside_value(name, split, rng))
        joint = rng.choice((", ", " ", ": ", ". ", " - "))
        return aside + joint + question if rng.random() < 0.6 else question + joint + aside
    return question
