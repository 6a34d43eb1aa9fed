"""Ageing and fair shares: the two bounds that `edged.turns` states, over drawn arrivals."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edged.spool.rows import Row
from edged.spool.unfinished import Flow, flow_of, flows_of
from edged.turns import AGE_S, DEBTS_MAX, Queue, Turn, Turns
from tests.prompt_fixtures import row

FOREVER_S = 1e9
COSTS_J = st.integers(1, 20)


def forecast_j(item: Row) -> float:
    """The rows of these tests say in `prompt_tokens` what they cost."""
    return float(item.prompt_tokens or 0)


def ask(serial: int, client: str = "a", *, cost_j: int = 1, **more: Any) -> Row:
    plain: dict[str, Any] = {"deadline_s": FOREVER_S}
    return row(serial, client=client, prompt_tokens=cost_j, **(plain | more))


def order(rows: list[Row], now_s: float = 0.0, turns: Turns | None = None) -> list[int]:
    return [item.serial for item in Queue(flows_of(rows), now_s, turns or Turns(), forecast_j)]


def test_of_one_priority_the_earliest_deadline_is_first_whoever_asks() -> None:
    rows = [ask(1, "a", deadline_s=9), ask(2, "b", cost_j=5, deadline_s=7), ask(3, "c")]
    assert order(rows) == [2, 1, 3]


def test_priority_counts_before_the_deadline() -> None:
    assert order([ask(1, deadline_s=9), ask(2, "b", priority=6)]) == [2, 1]


def test_a_client_with_many_prompts_waits_for_the_one_of_another() -> None:
    rows = [*(ask(serial, deadline_s=9) for serial in range(1, 9)), ask(9, "b")]
    assert order(rows).index(9) == 1


def test_a_client_whose_prompts_cost_twice_as_much_has_half_as_many() -> None:
    rows = [ask(serial, cost_j=2) for serial in range(20)]
    rows += [ask(100 + serial, "b") for serial in range(20)]
    assert Counter(serial < 100 for serial in order(rows)[:18]) == {True: 6, False: 12}


def test_what_an_answer_took_over_its_forecast_is_its_clients_debt() -> None:
    rows = [ask(1, deadline_s=9), ask(2, "b"), ask(3, "b"), ask(4, "b")]
    assert order(rows, turns=Turns().corrected(rows[0], -2.5)) == [2, 3, 4, 1]


def test_what_an_answer_took_less_than_its_forecast_is_no_claim_of_its_client() -> None:
    rows = [ask(1, deadline_s=9), ask(2, deadline_s=9), ask(3, deadline_s=9), ask(4, "b")]
    assert order(rows, turns=Turns().corrected(rows[0], 2.5)) == order(rows) == [1, 4, 2, 3]


def test_a_low_priority_passes_a_high_one_once_it_has_waited_long_enough() -> None:
    old, now_s = ask(1, priority=5), 5 * AGE_S
    fresh = ask(2, "b", priority=9, accepted_s=now_s)
    assert order([old, fresh], now_s - 1) == [2, 1]
    assert order([old, fresh], now_s) == [1, 2]


def test_a_client_that_is_served_all_the_time_does_not_age() -> None:
    flood = [ask(serial) for serial in range(1, 9)]
    late = ask(9, "b", accepted_s=1000.0, cost_j=50)
    had = Turns({flow_of(flood[0]): Turn(served_s=999.0)})
    assert order([*flood, late], 1000.0, had).index(9) <= 1


@given(
    costs_j=st.lists(st.tuples(COSTS_J, COSTS_J, COSTS_J), min_size=2, max_size=40),
    off=st.lists(st.floats(0.1, 4.0), min_size=1, max_size=7),
    taken=st.integers(1, 60),
)
def test_two_that_wait_all_the_time_have_the_same_joules_but_for_one_prompt(
    costs_j: list[tuple[int, int, int]], off: list[float], taken: int
) -> None:
    rows = [
        ask(3 * place + number, client, cost_j=cost_j, deadline_s=FOREVER_S - cost_j)
        for place, group in enumerate(costs_j)
        for number, (client, cost_j) in enumerate(zip("abc", group, strict=True))
    ]
    had_j, largest_j, turns = dict.fromkeys("abc", 0.0), 0.0, Turns()
    for number in range(taken):
        if {item.client for item in rows} != set("abc"):
            break
        queue = Queue(flows_of(rows), 0.0, turns, forecast_j)
        item = queue.take()
        rows.remove(item)
        measured_j = off[number % len(off)] * forecast_j(item)
        turns = queue.turns().corrected(item, forecast_j(item) - measured_j)
        had_j[item.client] += measured_j
        largest_j = max(largest_j, measured_j)
        shares_j = [had_j[client] for client in "abc"]
        assert max(shares_j) - min(shares_j) <= largest_j * 1.0001


@given(
    priority=st.integers(0, 9),
    others=st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 9), COSTS_J, st.floats(1, 500)),
        max_size=10,
        unique_by=lambda one: one[:2],
    ),
    services_s=st.lists(st.floats(5.0, 200.0), min_size=1, max_size=8),
    cost_j=COSTS_J,
)
def test_nobody_starves(
    priority: int,
    others: list[tuple[str, int, int, float]],
    services_s: list[float],
    cost_j: int,
) -> None:
    """After (10 - p) * AGE_S each other flow has one turn more, at most, before it."""
    mine = ask(0, "mine", priority=priority, cost_j=cost_j)
    turns, now_s, after, number = Turns(), 0.0, Counter[Flow](), 0
    while True:
        number += 1
        fresh = [  # each other flow always has a prompt, and one with an earlier deadline
            ask(number, client, priority=level, cost_j=one_j, accepted_s=now_s,
                deadline_s=now_s + left_s)
            for client, level, one_j, left_s in others
        ]  # fmt: skip
        queue = Queue(flows_of([mine, *fresh]), now_s, turns, forecast_j)
        taken = queue.take()
        if taken is mine:
            break
        turns = queue.turns()
        after[flow_of(taken)] += now_s >= (10 - priority) * AGE_S
        assert max(after.values()) <= 1
        now_s += services_s[number % len(services_s)]


def test_who_has_gone_keeps_debts_and_claims_nothing() -> None:
    turns = Turns({("a", 5): Turn(-3.0, 9.0), ("b", 5): Turn(3.0, 9.0), ("c", 5): Turn(1.0, 9.0)})
    assert turns.among({("c", 5)}).of == {("a", 5): Turn(-3.0), ("c", 5): Turn(1.0, 9.0)}


def test_the_largest_debts_are_kept_and_not_more_than_a_bounded_number() -> None:
    debts = Turns({(f"c{owed}", 5): Turn(-float(owed)) for owed in range(1, DEBTS_MAX + 9)})
    kept = debts.among(set()).of
    assert len(kept) == DEBTS_MAX
    assert ("c8", 5) not in kept


def test_who_owes_nothing_more_is_forgotten_once_nobody_waits() -> None:
    queue = Queue(flows_of([ask(1)]), 0.0, Turns(), forecast_j)
    queue.take()
    assert queue.next() is None
    assert queue.turns().among(set()).of == {("a", 5): Turn(-1.0)}
