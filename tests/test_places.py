"""What a device is told of its place in the line."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import places as module
from edged.places import COUNTED_ROWS, places
from edged.scheduler import Queued
from edged.spool.rows import Row, State
from edged.spool.unfinished import Flow, FlowRows, Unfinished, flow_of
from edged.turns import Turn, Turns, age
from tests.prompt_fixtures import LookedAt, row

NOW_S = 50.0
QUEUED = Queued(NOW_S, Turns(), lambda row: 1.0)


def of(rows: Collection[Row], queued: Queued = QUEUED) -> dict[int, int]:
    """Return the places of all rows."""
    return places(rows, Unfinished(rows).flows(NOW_S), queued)


def test_a_place_counts_who_would_start_before() -> None:
    rows = [
        row(1),
        row(2, priority=9, state=State.RUNNING),
        row(3, priority=9),
        row(4, deadline_s=51),
    ]
    assert of(rows) == {3: 0, 4: 1, 1: 2, 2: 0}


def test_in_the_long_line_of_one_client_every_place_is_right() -> None:
    rows = [row(serial, deadline_s=300.0 + serial) for serial in range(1, 3 * COUNTED_ROWS)]
    assert of(rows) == {one.serial: one.serial - 1 for one in rows}


ROWS = st.lists(
    st.builds(
        row,
        st.integers(1, 200),
        client=st.sampled_from(["a", "b", "c", "d"]),
        priority=st.sampled_from([4, 5, 6]),
        accepted_s=st.sampled_from([-200.0, 0.0, 40.0]),
        deadline_s=st.sampled_from([60.0, 200.0, 300.0]),
    ),
    unique_by=lambda one: one.serial,
    min_size=1,
    max_size=60,
)
TURNS = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from([4, 5, 6])),
    st.builds(Turn, deficit_j=st.integers(-5, 5).map(float), served_s=st.just(NOW_S)),
)


@given(ROWS, TURNS)
def test_where_prompts_cost_the_same_a_reckoned_place_is_off_by_two_for_each_flow_at_most(
    rows: list[Row], turns: dict[Flow, Turn]
) -> None:
    queued = Queued(NOW_S, Turns(turns), lambda row: 1.0)
    counted = of(rows, queued)
    reckoned = reckoned_of(rows, queued)
    flows = len({(one.client, one.priority) for one in rows})
    for serial, place in counted.items():
        assert abs(reckoned[serial] - place) <= 2 * flows, serial


def reckoned_of(rows: Collection[Row], queued: Queued, asked_cost: int = 4) -> dict[int, int]:
    """Return the places of all rows as in a long line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COUNTED_ROWS", 0)
        patch.setattr(module, "ASKED_COST", asked_cost)
        return of(rows, queued)


@pytest.mark.parametrize(
    "asked_cost",
    [pytest.param(0, id="each flow is asked"), pytest.param(1000, id="rows are sorted")],
)
@given(rows=ROWS, turns=TURNS, costs_j=st.tuples(*[st.integers(1, 8)] * 4))
def test_a_group_is_told_what_each_row_would_be_told_alone(
    asked_cost: int, rows: list[Row], turns: dict[Flow, Turn], costs_j: tuple[int, ...]
) -> None:
    each_j = dict(zip("abcd", map(float, costs_j), strict=True))
    queued = Queued(NOW_S, Turns(turns), lambda row: each_j[row.client])
    flows = Unfinished(rows).flows(NOW_S)
    expected = {one.serial: reckoned_alone(one, flows, queued) for one in rows}
    assert reckoned_of(rows, queued, asked_cost) == expected


def reckoned_alone(row: Row, flows: Mapping[Flow, FlowRows], queued: Queued) -> int:
    """Return how many rows start before one, flow by flow: the plain way."""
    stands = {flow: stand(flow, one, queued) for flow, one in flows.items()}
    own = stands.get(flow_of(row))
    if own is None:
        return 0
    before = sum(place_of(one) < place_of(row) for one in own.rows)
    level = row.priority + (0 if before else own.risen)
    had_j = own.had_j + before * own.each_j
    others = {flow: one for flow, one in stands.items() if flow != flow_of(row)}
    return before + sum(
        ahead(one, priority - level, row, had_j, given_j(stands, priority))
        for (_, priority), one in others.items()
    )


class Stand(NamedTuple):
    """A flow in the line."""

    rows: Sequence[Row]
    had_j: float
    each_j: float
    risen: int


def stand(flow: Flow, waiting: FlowRows, queued: Queued) -> Stand:
    turn = queued.turns.of.get(flow, Turn())
    each_j = queued.forecast_j(waiting.rows[0])
    return Stand(waiting.rows, -turn.deficit_j, each_j, age(waiting, turn, queued.now_s))


def given_j(stands: Mapping[Flow, Stand], priority: int) -> float:
    return min(max(0.0, one.had_j) for flow, one in stands.items() if flow[1] == priority)


def ahead(other: Stand, above: int, row: Row, start_j: float, given_j: float) -> int:
    """Return how many of another flow's rows go first; its head may have risen above."""
    is_head_higher = int(above + other.risen > 0)
    if above:
        return len(other.rows) if above > 0 else is_head_higher
    if start_j > given_j:
        count = math.ceil((start_j - other.had_j) / other.each_j)
    else:
        earlier = sum(place_of(one) < place_of(row) for one in other.rows)
        count = min(math.floor((given_j - other.had_j) / other.each_j) + 1, earlier)
    return max(is_head_higher, min(len(other.rows), count))


def place_of(row: Row) -> tuple[float, int]:
    return row.deadline_s, row.serial


def test_a_group_looks_at_each_flow_a_few_times_only() -> None:
    clients, told = 200, 64
    flows = {
        (f"c{client}", 5): LookedAt([row(client, client=f"c{client}")]) for client in range(clients)
    }
    waiting = {flow: FlowRows(rows, 0.0, 0) for flow, rows in flows.items()}
    places([row(client, client=f"c{client}") for client in range(told)], waiting, QUEUED)
    assert sum(rows.looks for rows in flows.values()) < 10 * clients
