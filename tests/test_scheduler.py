from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.scheduler import URGENT_OVER, Queued, Room, next_rows, pick
from edged.spool.rows import Row, State
from edged.spool.unfinished import FlowRows, Unfinished
from edged.turns import Turns
from tests.prompt_fixtures import LookedAt, row

NOW_S = 50.0
QUEUED = Queued(NOW_S, Turns(), lambda row: 1.0)


def queued(serial: int, **more: Any) -> Row:
    return row(serial, **more)


def running(serial: int, **more: Any) -> Row:
    return row(serial, state=State.RUNNING, **more)


def suspect(serial: int, **more: Any) -> Row:
    return row(serial, attempts=1, **more)


def started(rows: Iterable[Row], sequences: int, late: Set[int] = frozenset()) -> list[int]:
    known = Unfinished(rows)
    running, flows = known.running.values(), known.flows(NOW_S)
    return list(pick(running, flows, Room(sequences), QUEUED, late).serials)


@pytest.mark.parametrize(
    ("rule", "rows", "sequences", "expected"),
    [
        ("nothing waits", [], 4, []),
        ("the more urgent goes first", [queued(1), queued(2, priority=9)], 1, [2]),
        ("of equal priority the earlier deadline",
         [queued(1, deadline_s=300), queued(2, deadline_s=200)], 1, [2]),
        ("of equal deadlines the earlier arrival", [queued(2), queued(1)], 1, [1]),
        ("priority counts before the deadline",
         [queued(1, deadline_s=51), queued(2, priority=6)], 1, [2]),
        ("as many as there is room for", [queued(1), queued(2), queued(3)], 2, [1, 2]),
        ("what runs takes room", [running(1), queued(2), queued(3)], 2, [2]),
        ("no room, no start", [queued(1)], 0, []),
        ("more may run than there is room for now", [running(1), running(2), queued(3)], 1, []),
        ("a full batch takes what is more urgent than one in it",
         [running(1), running(2), queued(3), queued(4, priority=6)], 2, [4]),
        ("what is in it since long does not sit out any more",
         [running(1, accepted_s=-300.0), running(2, accepted_s=-300.0), queued(3, priority=9)], 2,
         []),
        ("as many as may sit out for it",
         [running(1), running(2, priority=7), queued(3, priority=6), queued(4, priority=6)], 2,
         [3]),
        ("an overdue row is not started", [queued(1, deadline_s=50), queued(2)], 4, [2]),
        ("an overdue row that still runs takes room",
         [running(1, deadline_s=49), queued(2)], 1, []),
        ("a suspect runs alone", [suspect(1), queued(2)], 4, [1]),
        ("a suspect waits for the batch to empty", [running(1), suspect(2), queued(3)], 4, []),
        ("also for an overdue one", [running(1, deadline_s=49), suspect(2)], 4, []),
        ("a suspect waits for its turn", [queued(1, priority=9), suspect(2)], 4, [1]),
        ("nobody joins a suspect", [running(1, attempts=1), queued(2)], 4, []),
        ("not even when it is overdue", [running(1, attempts=1, deadline_s=49), queued(2)], 4, []),
        ("a restart of the daemon makes no suspect", [row(1, restarts=1), queued(2)], 4, [1, 2]),
    ],
)  # fmt: skip
def test_the_scheduler_follows_the_rule(
    rule: str, rows: Sequence[Row], sequences: int, expected: list[int]
) -> None:
    assert started(rows, sequences) == expected, rule


ROWS = st.lists(
    st.builds(
        row,
        st.integers(1, 40),
        state=st.sampled_from([State.QUEUED, State.RUNNING]),
        priority=st.integers(0, 9),
        deadline_s=st.sampled_from([49.0, 50.0, 51.0, 200.0]),
        attempts=st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=12,
    unique_by=lambda item: item.serial,
)
SEQUENCES = st.integers(0, 6)


@given(ROWS, SEQUENCES)
def test_never_more_run_than_there_is_room_for(rows: list[Row], sequences: int) -> None:
    in_batch = sum(item.state is State.RUNNING for item in rows)
    over = URGENT_OVER if sequences else 0
    assert len(started(rows, sequences)) <= max(0, sequences + over - in_batch)


@given(ROWS, SEQUENCES)
def test_only_queued_rows_within_their_deadline_start(rows: list[Row], sequences: int) -> None:
    by_serial = {item.serial: item for item in rows}
    for serial in started(rows, sequences):
        assert by_serial[serial].state is State.QUEUED
        assert by_serial[serial].deadline_s > NOW_S


@given(ROWS, SEQUENCES)
def test_a_suspect_never_shares_the_batch(rows: list[Row], sequences: int) -> None:
    by_serial = {item.serial: item for item in rows}
    batch = [item for item in rows if item.state is State.RUNNING]
    added = [by_serial[serial] for serial in started(rows, sequences)]
    if added and any(item.attempts for item in batch + added):
        assert len(batch + added) == 1


@given(ROWS, SEQUENCES, st.randoms(use_true_random=False))
def test_the_order_in_which_rows_are_given_does_not_matter(
    rows: list[Row], sequences: int, random: Any
) -> None:
    shuffled = random.sample(rows, len(rows))
    assert started(shuffled, sequences) == started(rows, sequences)


@given(ROWS, SEQUENCES)
def test_room_is_used_unless_a_suspect_is_about(rows: list[Row], sequences: int) -> None:
    innocent = [item for item in rows if not item.attempts]
    free = sequences - sum(item.state is State.RUNNING for item in innocent)
    waiting = [item for item in innocent if item.state is State.QUEUED and item.deadline_s > NOW_S]
    assert len(started(innocent, sequences)) >= max(0, min(free, len(waiting)))


@given(ROWS, st.integers(1, 6))
def test_whoever_gets_in_over_the_room_is_more_urgent_than_one_that_is_in(
    rows: list[Row], sequences: int
) -> None:
    by_serial = {item.serial: item for item in rows}
    inside = [item.priority for item in rows if item.state is State.RUNNING]
    for serial in started(rows, sequences):
        mine = by_serial[serial].priority
        assert sum(other >= mine for other in inside) < sequences
        inside.append(mine)


@pytest.mark.parametrize(
    ("rule", "rows", "late", "expected"),
    [
        ("others go first", [queued(1, priority=9), queued(2)], {1}, [2]),
        ("it waits for what runs", [queued(1, priority=9), running(2)], {1}, []),
        ("alone it runs", [queued(1)], {1}, [1]),
        ("of several the most urgent, one by one", [queued(1), queued(2, priority=9)], {1, 2}, [2]),
        ("a suspect does not wait for a late one before it", [queued(1), suspect(2)], {1}, [2]),
        ("a suspect that is late still runs alone", [suspect(1), queued(2)], {1}, [1]),
    ],
)
def test_a_row_that_would_be_late_waits_as_long_as_that_can_help(
    rule: str, rows: Sequence[Row], late: set[int], expected: list[int]
) -> None:
    assert started(rows, 4, late) == expected, rule


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(0, 8))
def test_the_next_rows_are_those_that_would_be_picked(priorities: list[int], count: int) -> None:
    rows = [queued(serial, priority=priority) for serial, priority in enumerate(priorities)]
    flows = Unfinished(rows).flows(NOW_S)
    found = [one.serial for one in next_rows(flows, QUEUED, count)]
    assert found == started(rows, count)


@pytest.mark.parametrize(
    ("late", "attempts"), [({7777}, 0), (set(), 1)], ids=["a late row", "a suspect"]
)
def test_one_row_that_is_passed_over_makes_nobody_look_at_all(
    late: set[int], attempts: int
) -> None:
    rows = LookedAt([queued(serial) for serial in range(1000)])
    odd = row(7777, client="z", priority=0, attempts=attempts)
    flows = {("c1", 5): FlowRows(rows, 0.0, 0), ("z", 0): FlowRows([odd], 0.0, attempts)}
    assert pick([], flows, Room(4), QUEUED, late).serials == [0, 1, 2, 3]
    assert rows.looks < 50


@given(ROWS, st.frozensets(st.integers(1, 40)), st.integers(1, 6))
def test_who_is_passed_over_changes_nothing_for_the_others(
    rows: list[Row], late: frozenset[int], sequences: int
) -> None:
    first = queued(99, client="first", accepted_s=-900.0)
    innocent = [item for item in rows if item.state is State.QUEUED or not item.attempts]
    known = Unfinished([first, *innocent])
    running, flows = known.running.values(), known.flows(NOW_S)
    without = {
        flow: replace(one, rows=kept, suspects=0)
        for flow, one in flows.items()
        if (kept := [item for item in one.rows if item.serial not in late and not item.attempts])
    }
    expected = pick(running, without, Room(sequences), QUEUED).serials
    assert [*pick(running, flows, Room(sequences), QUEUED, late).serials] == [*expected]
