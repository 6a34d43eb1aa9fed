"""The unfinished rows in memory: every order agrees with a walk over all of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edged.spool.rows import Row, State
from edged.spool.unfinished import Unfinished, flow_of, flows_of
from tests.prompt_fixtures import row

NOW_S = 50.0

ROWS = st.builds(
    row,
    st.integers(1, 30),
    client=st.sampled_from(["a", "b", "c"]),
    state=st.sampled_from([State.QUEUED, State.RUNNING]),
    priority=st.sampled_from([4, 5, 6]),
    accepted_s=st.floats(0, 100),
    deadline_s=st.sampled_from([49.0, 50.0, 51.0, 200.0]),
    attempts=st.sampled_from([0, 0, 1]),
)
# Put one in, or change it, or drop one.
CHANGES = st.lists(st.one_of(ROWS, st.integers(1, 30)), max_size=60)


def after(changes: list[Row | int]) -> tuple[Unfinished, dict[int, Row]]:
    """Return the rows after some changes, and the same as a plain dict."""
    known, plain = Unfinished(), dict[int, Row]()
    for change in changes:
        if isinstance(change, int):
            assert known.drop(change) == plain.pop(change, None)
        else:
            known.put(change)
            plain[change.serial] = change
    return known, plain


@given(CHANGES)
def test_it_holds_what_was_put_in_and_not_dropped(changes: list[Row | int]) -> None:
    known, plain = after(changes)
    assert dict(known) == plain


@given(CHANGES)
def test_a_row_is_found_by_client_and_id(changes: list[Row | int]) -> None:
    known, plain = after(changes)
    for client in "abc":
        for serial in range(1, 31):
            one = plain.get(serial)
            found = known.find(client, f"p{serial}")
            assert found == (one if one is not None and one.client == client else None)


@given(CHANGES)
def test_each_client_is_counted(changes: list[Row | int]) -> None:
    known, plain = after(changes)
    for client in "abc":
        assert known.count_of(client) == sum(one.client == client for one in plain.values())
    assert known.clients == len({one.client for one in plain.values()})


@given(CHANGES)
def test_those_that_run_are_known(changes: list[Row | int]) -> None:
    known, plain = after(changes)
    running = {one.serial: one for one in plain.values() if one.state is State.RUNNING}
    assert known.running == running


@given(CHANGES)
def test_a_row_is_overdue_at_its_deadline(changes: list[Row | int]) -> None:
    known, plain = after(changes)
    overdue = sorted(one.serial for one in plain.values() if one.deadline_s <= NOW_S)
    assert sorted(one.serial for one in known.overdue(NOW_S)) == overdue


@given(CHANGES)
def test_the_earliest_deadline_is_first(changes: list[Row | int]) -> None:
    known, plain = after(changes)
    deadlines = [one.deadline_s for one in known.by_deadline()]
    assert deadlines == sorted(one.deadline_s for one in plain.values())


@given(CHANGES)
def test_the_flows_are_those_of_the_rows_that_wait_within_their_deadline(
    changes: list[Row | int],
) -> None:
    known, plain = after(changes)
    waiting = [
        one for one in plain.values() if one.state is State.QUEUED and one.deadline_s > NOW_S
    ]
    flows = known.flows(NOW_S)
    assert set(flows) == {flow_of(one) for one in waiting}
    for flow, found in flows.items():
        own = [one for one in waiting if flow_of(one) == flow]
        assert found.rows == sorted(own, key=lambda one: (one.deadline_s, one.serial))
        assert found.since_s == min(one.accepted_s for one in own)
        assert found.suspects == sum(one.attempts > 0 for one in own)


@given(st.lists(ROWS, unique_by=lambda one: one.serial))
def test_flows_can_be_made_of_rows_alone(rows: list[Row]) -> None:
    waiting = [replace(one, state=State.QUEUED, deadline_s=51.0) for one in rows]
    assert flows_of(waiting) == Unfinished(waiting).flows(NOW_S)
