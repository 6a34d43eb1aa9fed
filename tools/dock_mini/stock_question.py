"""Rows of stock-question: a random table, and a question about one of its rows."""

from __future__ import annotations

import random
from typing import Any

from . import labels, noise
from .dock_event import aside_value
from .phrase import Phrases, Split, fill
from .pools import draw, draw_number

NAME = "stock-question"
ROWS_MAX = 6
Row = tuple[str, str, int]

_HAVE = (
    "(do we have|have we got|are there|are left|we got|are in stock|is there|are on hand|remain)"
)
_PCS = "(pieces|pcs|units|pc|items|cartons|)"

QUESTIONS: dict[tuple[str, str], Phrases] = {
    ("item", "quantity"): Phrases(
        "stock-question/item/quantity",
        train=(
            "how (many|much) (of |){item} " + _HAVE + "( now| today| still|)",
            "how (many|much) " + _PCS + " of {item}( " + _HAVE + "|)",
            "(stock|quantity|qty|count|amount|number|inventory|level) (of|for|on|) {item}",
            "{item} (how many|how much|stock|qty|quantity|count|amount|left|on hand|pcs)",
            (
                "(need|want|check|give me|show|tell me|whats|what is) the (stock|quantity|count|"
                "qty|amount|number) (of|for) {item}"
            ),
            "(is there|do we have|have we|got) (any |still |enough |){item}( left|)(?|), how many",
            "{item}: (how many|qty|quantity|count|stock)",
            "(left|remaining|available) of {item}",
            "(can you |)count {item}",
        ),
        held_out=(
            "how many units of {item} do we have",
            "tell me the qty for {item}",
            "{item} - how many left",
        ),
    ),
    ("item", "bin"): Phrases(
        "stock-question/item/bin",
        train=(
            (
                "(where|in which bin|in what bin|which bin|what bin|which shelf|which place|"
                "what location) (is|do we keep|do i find|can i find|is stored|do we have|sits) "
                "{item}"
            ),
            "(bin|location|loc|place|shelf|position|storage bin) (of|for) {item}",
            (
                "{item} (where|which bin|what bin|bin|location|loc|which shelf|where is it|"
                "where to find|place)"
            ),
            (
                "(find|locate|looking for|i need|searching|pick|need|cant find|go get|fetch) "
                "{item}(,| -|:|) (where|which bin|where is it|what bin|location|which shelf|"
                "what shelf|tell me the bin)"
            ),
            (
                "(whats|what is|tell me|give me|show me) the (bin|location|place|shelf) (of|"
                "for) {item}"
            ),
            "{item}: (bin|where|location|which shelf)",
            "where (is|are|do they keep|should i look for) (the |){item}",
            "where's {item}",
        ),
        held_out=(
            "what is the location for {item}",
            "where do we keep {item}",
            "need {item}, what bin",
        ),
    ),
    ("bin", "item"): Phrases(
        "stock-question/bin/item",
        train=(
            (
                "(what|which item|what item|which article|what product|which sku|what stuff|"
                "which product) (is|lies|do we have|sits|is stored|do we keep|is kept|lives) "
                "(in|on|at) (bin |){bin}"
            ),
            "(content|contents|item|product|article|sku) (of|in|at) (bin |){bin}",
            (
                "{bin} (what|what is in it|which item|contents|item|product|what item|whats "
                "there|whats inside)"
            ),
            "(whats|what's|what is) (in|at|on|inside|stored in) (bin |){bin}",
            (
                "(show|check|tell me|look up|give me|find|name) (me |)(the |)(item|product|"
                "article|sku|content) (in|of|at|on) (bin |){bin}"
            ),
            "bin {bin}: (what item|contents|item|which product|what is it)",
            (
                "(i am|im|standing) (at|in front of) {bin}, what (is it|item is this|should be "
                "here|lies here)"
            ),
        ),
        held_out=(
            "which product is in {bin}",
            "tell me what item is at bin {bin}",
            "{bin}: which sku",
        ),
    ),
    ("bin", "quantity"): Phrases(
        "stock-question/bin/quantity",
        train=(
            "how (many|much) " + _PCS + " (are |is |do we have |lie |)(in|on|at) (bin |){bin}",
            "(stock|quantity|qty|count|amount|number|level) (in|at|of|for|on) (bin |){bin}",
            "{bin} (how many|how much|qty|quantity|count|stock|amount)",
            (
                "(whats|what is|tell me|give me) the (quantity|count|qty|stock|amount|number) "
                "(in|at|of) (bin |){bin}"
            ),
            "(count|count up) (of |)(bin |){bin}",
            "bin {bin}: (how many|qty|count|quantity)",
            "(how full is|how much is in) (bin |){bin}",
        ),
        held_out=("how many units in bin {bin}", "the qty of {bin}", "{bin} - how much is there"),
    ),
    ("most", "item"): Phrases(
        "stock-question/most/item",
        train=(
            (
                "(which|what) (item|one|product|sku|article|) (has|have we|do we have) the "
                "(most|largest|highest|biggest) (stock|quantity|qty|number|count|amount|)"
            ),
            (
                "(item|product|sku|article|code) (with|having) the (most|largest|highest|"
                "biggest|max) (stock|quantity|qty|pieces|count|units|amount|number)"
            ),
            "(what|which) do we have (the |)most (of|pieces of)",
            "(most|highest|largest|max|biggest|top) (stock|quantity|count) (item|product|sku)",
            "(which|what) (item|one) is (the most|the highest|the biggest|fullest)",
            "(of which|of what) (item |)(are there|do we have) (the |)most",
            "(best|most) stocked item",
        ),
        held_out=("what item has the largest qty", "which product do we have most of"),
    ),
    ("least", "item"): Phrases(
        "stock-question/least/item",
        train=(
            (
                "(which|what) (item|one|product|sku|article|) (has|have we|do we have) the "
                "(least|smallest|lowest|fewest) (stock|quantity|qty|number|count|amount|pieces|)"
            ),
            (
                "(item|product|sku|article|code) (with|having) the (least|smallest|lowest|"
                "fewest|min) (stock|quantity|qty|pieces|count|units|amount)"
            ),
            "(what|which) (do we have|have we) (the |)(least|fewest) (of|pieces of)",
            "(lowest|smallest|least|min|minimum) (stock|quantity|count) (item|product|sku)",
            (
                "(what|which|which one|which item|what item) is (running low|nearly gone|almost "
                "out|running out|lowest|the lowest|scarce|nearly empty|low)"
            ),
            (
                "(what|which item|which) (to reorder|should we reorder|runs out first|do we "
                "order|must be reordered|needs refill)( first|)"
            ),
            "what (will be|is) gone first",
        ),
        held_out=("what product has the smallest quantity", "which item is the lowest"),
    ),
    ("most", "bin"): Phrases(
        "stock-question/most/bin",
        train=(
            (
                "(which|what) bin (has|holds|contains) the (most|largest stock|highest count|"
                "biggest quantity|most pieces)"
            ),
            (
                "(in which|in what|what|which) (bin|place|location|shelf) (is|has) the (biggest|"
                "largest|highest|most) (stock|quantity|count|amount)"
            ),
            "(fullest|biggest) (bin|shelf)",
            (
                "where (is|do we have|lies) the (most|largest|biggest|highest) (stock|quantity|"
                "amount|pile|count|)"
            ),
            (
                "(bin|location|place) (of|with) the (most|largest|highest|biggest) (stock|"
                "quantity|count|pieces)"
            ),
            "(most|largest stock|highest quantity)(:|,) (where|which bin)",
        ),
        held_out=("what bin has the highest quantity", "location with the most pieces"),
    ),
    ("least", "bin"): Phrases(
        "stock-question/least/bin",
        train=(
            (
                "(which|what) bin (has|holds|contains) the (least|smallest stock|lowest count|"
                "fewest pieces|least pieces)"
            ),
            (
                "(in which|in what|what|which) (bin|place|location|shelf) (is|has) the "
                "(smallest|lowest|least) (stock|quantity|count|amount)"
            ),
            "(emptiest|smallest|lowest) (bin|shelf)",
            "where (is|do we have|lies) the (least|smallest|lowest) (stock|quantity|amount|count|)",
            (
                "(bin|location|place) (of|with) the (least|smallest|lowest|fewest) (stock|"
                "quantity|count|pieces)"
            ),
            (
                "(least|smallest stock|lowest quantity)(:|,) (where|which bin|tell me the bin|"
                "where is it)"
            ),
        ),
        held_out=("what bin has the smallest quantity", "location with the fewest pieces"),
    ),
    ("most", "quantity"): Phrases(
        "stock-question/most/quantity",
        train=(
            (
                "(what is|whats|tell me|give me|) the (highest|largest|biggest|max|maximum|top) "
                "(quantity|stock|count|qty|number|amount)( here| in the table| on the list|)"
            ),
            (
                "how (many|much) (do we have |is there |)of the (biggest|largest|highest|most "
                "stocked) (item|one|stock)"
            ),
            "(max|maximum|highest|largest) (qty|quantity|stock|count|number)",
            "(quantity|count|qty) of the (largest|highest|biggest) (item|one|row|stock)",
            "(highest|largest|biggest)(:|,) how many",
        ),
        held_out=("tell me the largest count", "maximum quantity in the table"),
    ),
    ("least", "quantity"): Phrases(
        "stock-question/least/quantity",
        train=(
            (
                "(what is|whats|tell me|give me|) the (lowest|smallest|least|min|minimum) "
                "(quantity|stock|count|qty|number|amount)( here| in the table| on the list|)"
            ),
            (
                "how (many|much) (do we have |is there |)of the (smallest|lowest|least stocked) "
                "(item|one|stock)"
            ),
            "(min|minimum|lowest|smallest) (qty|quantity|stock|count|number)",
            "(quantity|count|qty) of the (smallest|lowest) (item|one|row|stock)",
            "(lowest|smallest|least)(:|,) how (many|much)( is it| is left| are left|)",
        ),
        held_out=("tell me the smallest count", "minimum quantity in the table"),
    ),
}
ASIDE = Phrases(
    "stock-question/aside",
    train=(
        "(please|pls|thx|thanks|quick question|hi|hello|hey|fyi|asap|urgent)",
        (
            "(customer|{name}|the office|{firm}|the boss|production|sales) (asks|wants to "
            "know|is asking|needs it|calls)"
        ),
        "(order|PO|for order) {order}",
        "(truck waits|truck leaves at {clock}|before {clock}|for {town})",
        "(can you|could you) (check|tell me|look|help)",
        "(i think|maybe|not sure|system is slow|my scanner is dead)",
    ),
    held_out=("{name} asks", "for {firm}, pls", "quick, truck leaves {clock}"),
)


def phrase_groups() -> list[Phrases]:
    """Every phrase group of the template, for audits."""
    return [*QUESTIONS.values(), ASIDE]


def row(split: Split, rng: random.Random) -> tuple[dict[str, Any], labels.Answer]:
    """One table with its question, and the row that answers."""
    table = _table(split, rng)
    kinds = list(QUESTIONS)
    key, asked = rng.choices(kinds, [3, 3, 3, 3, 1, 1, 1, 1, 1, 1])[0]
    answer_row = _answer_row(key, table, rng)
    named = _named(key, answer_row, table, split, rng)
    phrase = QUESTIONS[key, asked].draw(split, rng)
    question = _asked(fill(phrase, lambda _: "\0"), split, rng)
    question = noise.messy(question, rng)
    named = named.lower() if question.islower() or rng.random() < 0.1 else named
    inputs = {"table": [list(line) for line in table], "question": question.replace("\0", named)}
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
