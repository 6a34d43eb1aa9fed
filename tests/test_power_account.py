from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.power.account import Account, Counted, Joules, Moment, as_note, from_note

J = st.floats(0, 1e4)
NOW = Moment("boot-a", 1000.0)
# What may happen: time passes, a step runs, an answer is settled or begun again.
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), J, J),
        st.tuples(st.just("charge"), J, J),
        st.tuples(st.just("settle"), J, J),
        st.tuples(st.just("waste"), J, J),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happens_the_parts_add_up_to_the_counter(events: list[Any]) -> None:
    account, counter_j, idle_j, charged_j = Account(Joules()), 0.0, 0.0, 0.0
    for kind, first_j, second_j in events:
        if kind == "count":
            counter_j, idle_j, charged_j = counter_j + first_j + second_j, idle_j + second_j, 0.0
            account.count(Counted(counter_j, idle_j))
        elif kind == "charge":
            account.charge(first_j, second_j)
            charged_j += first_j + second_j
        elif kind == "settle":
            account.settle(first_j)
        else:
            account.waste(first_j)
    assert account.joules.counter_j == pytest.approx(counter_j + charged_j, abs=1e-4)


def test_a_settled_answer_keeps_its_joules_and_one_begun_again_loses_them() -> None:
    account = Account(Joules())
    account.charge(5.0, 1.0)
    account.settle(2.0)
    account.waste(3.0)
    account.count(Counted(10.0, 4.0))
    assert account.joules == Joules(outcomes_j=2.0, overhead_j=4.0, idle_j=4.0)


def test_answers_under_way_are_overhead_in_the_note() -> None:
    account = Account(Joules())
    account.charge(5.0, 0.0)
    kept = from_note(as_note(account.joules, NOW), NOW, 1.4)
    assert kept == Joules(overhead_j=5.0)


def test_time_without_a_daemon_is_counted_as_idle_that_nobody_metered() -> None:
    note = as_note(Joules(1.0, 2.0, 3.0, 4.0), NOW)
    kept = from_note(note, Moment("boot-a", 1060.0), 1.5)
    assert kept == Joules(1.0, 2.0, 3.0, 4.0 + 60 * 1.5)


def test_time_before_a_reboot_is_not_counted() -> None:
    note = as_note(Joules(idle_j=3.0), NOW)
    assert from_note(note, Moment("boot-b", 9000.0), 1.5) == Joules(idle_j=3.0)


def test_the_first_start_has_counted_nothing() -> None:
    assert from_note(None, NOW, 1.4) == Joules()


def test_a_note_of_another_version_costs_what_it_does_not_say() -> None:
    note = json.dumps({"outcomes_j": 7, "idle_j": "much", "boot_id": "boot-a"})
    assert from_note(note, Moment("boot-b", 0.0), 1.4) == Joules(outcomes_j=7.0)
