"""How a device's rows are written in a prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edged.errors import ConfigError, Refusal
from edged.table_form import TableForm
from edged.templates import Template, load

TEMPLATE = """\
name = "stock"
root = "Read."
payload = "{table}"
[variables.table]
description = "rows"
[variables.table.rows]
columns = [0, 1, 0]
sort_by = 1
[example]
input = { table = [["B", 1], ["A", 0.5]] }
answer = "A"
"""

Rows = st.lists(st.tuples(st.text(), st.integers(-999, 999), st.booleans()).map(list))


@pytest.fixture
def stock(tmp_path: Path) -> Template:
    (tmp_path / "stock.toml").write_text(TEMPLATE, encoding="utf-8")
    return load(tmp_path)["stock"]


def test_rows_are_written_sorted_and_with_the_columns_that_the_template_names(
    stock: Template,
) -> None:
    prompt = stock.prompt({"table": [["é", 7, "x"], ["A", 2, "y"]]})
    assert prompt.payload == '[["A",2,"A"],["é",7,"é"]]'


def test_without_a_place_to_sort_by_rows_stay_as_they_came() -> None:
    assert TableForm(columns=[1]).written("t", [[0, 3], [0, 1], [0, 2]]) == "[[3],[1],[2]]"


def test_a_table_without_rows_is_written_as_one() -> None:
    assert TableForm(columns=[0], sort_by=0).written("t", []) == "[]"


@given(Rows)
def test_rows_with_equal_numbers_keep_their_order(rows: list[list[object]]) -> None:
    written = json.loads(TableForm(columns=[0, 1, 2], sort_by=1).written("t", rows))
    assert written == sorted(rows, key=lambda row: int(str(row[1])))


@given(Rows)
def test_every_row_is_written_once(rows: list[list[object]]) -> None:
    written = json.loads(TableForm(columns=[0, 1, 2], sort_by=1).written("t", rows))
    assert sorted(map(repr, written)) == sorted(map(repr, rows))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('[["A", 1]]', "input.table: must be a list of rows"),
        ({"A": 1}, "input.table: must be a list of rows"),
        ([["A", 1], "B"], "input.table[1]: must be a list of at least 2 values"),
        ([["A", 1], ["B"]], "input.table[1]: must be a list of at least 2 values"),
        (
            [["A", "1"]],
            'input.table: value 1 of each row must be a number, rows are sorted by it; got "1"',
        ),
        ([["A", None]], "got null"),
        ([["A", True]], "got true"),
    ],
)
def test_a_table_that_cannot_be_written_so_is_refused_by_its_row(
    stock: Template, table: object, told: str
) -> None:
    with pytest.raises(Refusal) as caught:
        stock.prompt({"table": table})
    assert caught.value.reason == "malformed"
    assert told in caught.value.detail


@pytest.mark.parametrize(
    "keys", [{"columns": []}, {"columns": [-1]}, {"columns": [0], "sort_by": -1}, {"sort_by": 0}]
)
def test_a_form_without_columns_or_with_places_before_the_first_is_an_error(
    keys: dict[str, object],
) -> None:
    with pytest.raises(ValidationError):
        TableForm.model_validate(keys)


def test_an_example_that_the_form_cannot_write_is_an_error_of_the_file(tmp_path: Path) -> None:
    text = TEMPLATE.replace('[["B", 1], ["A", 0.5]]', '[["B"]]')
    (tmp_path / "stock.toml").write_text(text, encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"example.input.table\[0\]: must be a list of at least 2"
    ):
        load(tmp_path)
