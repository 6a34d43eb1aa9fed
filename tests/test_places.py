"""What a device is told of its place in the line."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import places as module
from edged.places import COUNTED_ROWS, places
from edged.scheduler import Queued
from edged.spool.rows import Row, State
from edged.spool.unfinished import Unfinished
from edged.turns import Turn, Turns
from tests.prompt_fixtures import row

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
    rows: list[Row], turns: dict[tuple[str, int], Turn]
) -> None:
    queued = Queued(NOW_S, Turns(turns), lambda row: 1.0)
    counted = of(rows, queued)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COUNTED_ROWS", 0)
        reckoned = of(rows, queued)
    flows = len({(one.client, one.priority) for one in rows})
    for serial, place in counted.items():
        assert abs(reckoned[serial] - place) <= 2 * flows, serial
