"""Orders: how long they hold, by which clock, and what outlives a restart."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.admin.commands import seconds
from edged.admin.screen import duration
from edged.orders.kept import BudgetOrder, Mode, ModeOrder, Orders, OrdersFile, Term

LENGTHS = st.floats(1, 1e6)
MOMENTS = st.floats(0, 1e9)


@given(given_s=MOMENTS, for_s=LENGTHS, later_s=st.floats(0, 1e7))
def test_an_order_holds_exactly_as_long_as_it_was_given_for(
    given_s: float, for_s: float, later_s: float
) -> None:
    term = Term("root", given_s, for_s)
    now_s = given_s + later_s
    assert term.is_over(now_s) == (now_s >= given_s + for_s)
    assert term.is_over(now_s) == (term.left_s(now_s) == 0)


@given(given_s=MOMENTS, now_s=MOMENTS)
def test_an_order_without_a_length_is_never_over(given_s: float, now_s: float) -> None:
    term = Term("root", given_s)
    assert not term.is_over(now_s)
    assert term.left_s(now_s) is None


def test_an_order_whose_clock_started_anew_is_over() -> None:
    assert Term("root", given_s=5000.0, for_s=7200.0).is_over(10.0)


def test_each_order_ends_by_itself() -> None:
    orders = Orders(
        ModeOrder(Mode.PAUSED, Term("root", 0.0, 10.0)),
        BudgetOrder(3.0, None, Term("root", 0.0, 20.0)),
    )
    assert orders.next_end_s(4.0) == 6.0
    assert orders.at(9.0) == orders
    assert orders.at(10.0) == Orders(None, orders.budget)
    assert orders.at(20.0) == Orders()


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    file = OrdersFile(tmp_path / "orders.json")
    orders = Orders(
        ModeOrder(Mode.DRAINING, Term("root", 1.5)),
        BudgetOrder(3.0, 4.0, Term("ops", 2.5, 7200.0)),
    )
    file.save(orders)
    assert file.load() == orders


def test_without_a_file_nothing_is_ordered(tmp_path: Path) -> None:
    assert OrdersFile(tmp_path / "orders.json").load() == Orders()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"mode": {"mode": "asleep", "term": {"by": "root", "given_s": 0}}}',
        '{"budget": {"budget_w": 1e9, "peak_w": null, "term": {"by": "root", "given_s": 0}}}',
        '{"budget": {"budget_w": NaN, "peak_w": null, "term": {"by": "root", "given_s": 0}}}',
    ],
)
def test_a_file_that_is_not_ours_is_moved_aside(tmp_path: Path, text: str) -> None:
    file = OrdersFile(tmp_path / "orders.json")
    file.path.write_text(text)
    assert file.load() == Orders()
    assert (tmp_path / "orders.broken").read_text() == text


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1d", 86400)],
)
def test_lengths_of_time_are_read(text: str, expected_s: float) -> None:
    assert seconds(text) == expected_s


@pytest.mark.parametrize("text", ["", "2", "h", "0s", "-1h", "2 h", "400d", "1m1h"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as 2h"):
        seconds(text)


@given(LENGTHS)
def test_a_length_of_time_is_said_within_a_minute(length_s: float) -> None:
    said = duration(length_s)
    compact = said.replace(" ", "").replace("min", "m")
    assert abs(seconds(compact) - length_s) <= 31
