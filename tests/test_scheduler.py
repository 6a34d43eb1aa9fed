from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.rows import Row, State
from edged.scheduler import Room, next_deadline_s, next_rows, overdue, pick, queue_position
from tests.prompt_fixtures import row

NOW_S = 100.0


def queued(serial: int, **more: Any) -> Row:
    return row(serial, **more)


def running(serial: int, **more: Any) -> Row:
    return row(serial, state=State.RUNNING, **more)


def suspect(serial: int, **more: Any) -> Row:
    return row(serial, attempts=1, **more)


@pytest.mark.parametrize(
    ("rule", "rows", "sequences", "expected"),
    [
        ("nothing waits", [], 4, []),
        ("the more urgent goes first", [queued(1), queued(2, priority=9)], 1, [2]),
        ("of equal priority the earlier deadline",
         [queued(1, deadline_s=300), queued(2, deadline_s=200)], 1, [2]),
        ("of equal deadlines the earlier arrival", [queued(2), queued(1)], 1, [1]),
        ("priority counts before the deadline",
         [queued(1, deadline_s=101), queued(2, priority=6)], 1, [2]),
        ("as many as there is room for", [queued(1), queued(2), queued(3)], 2, [1, 2]),
        ("what runs takes room", [running(1), queued(2), queued(3)], 2, [2]),
        ("no room, no start", [queued(1)], 0, []),
        ("more may run than there is room for now", [running(1), running(2), queued(3)], 1, []),
        ("an overdue row is not started", [queued(1, deadline_s=100), queued(2)], 4, [2]),
        ("an overdue row that still runs takes room",
         [running(1, deadline_s=99), queued(2)], 1, []),
        ("a suspect runs alone", [suspect(1), queued(2)], 4, [1]),
        ("a suspect waits for the batch to empty", [running(1), suspect(2), queued(3)], 4, []),
        ("also for an overdue one", [running(1, deadline_s=99), suspect(2)], 4, []),
        ("a suspect waits for its turn", [queued(1, priority=9), suspect(2)], 4, [1]),
        ("nobody joins a suspect", [running(1, attempts=1), queued(2)], 4, []),
        ("not even when it is overdue", [running(1, attempts=1, deadline_s=99), queued(2)], 4, []),
        ("a restart of the daemon makes no suspect", [row(1, restarts=1), queued(2)], 4, [1, 2]),
    ],
)  # fmt: skip
def test_the_scheduler_follows_the_rule(
    rule: str, rows: Sequence[Row], sequences: int, expected: list[int]
) -> None:
    assert pick(rows, Room(sequences), NOW_S) == expected, rule


ROWS = st.lists(
    st.builds(
        row,
        st.integers(1, 40),
        state=st.sampled_from([State.QUEUED, State.RUNNING]),
        priority=st.integers(0, 9),
        deadline_s=st.sampled_from([99.0, 100.0, 101.0, 200.0]),
        attempts=st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=12,
    unique_by=lambda item: item.serial,
)
SEQUENCES = st.integers(0, 6)


@given(ROWS, SEQUENCES)
def test_never_more_run_than_there_is_room_for(rows: list[Row], sequences: int) -> None:
    in_batch = sum(item.state is State.RUNNING for item in rows)
    assert len(pick(rows, Room(sequences), NOW_S)) <= max(0, sequences - in_batch)


@given(ROWS, SEQUENCES)
def test_only_queued_rows_within_their_deadline_start(rows: list[Row], sequences: int) -> None:
    by_serial = {item.serial: item for item in rows}
    for serial in pick(rows, Room(sequences), NOW_S):
        assert by_serial[serial].state is State.QUEUED
        assert by_serial[serial].deadline_s > NOW_S


@given(ROWS, SEQUENCES)
def test_a_suspect_never_shares_the_batch(rows: list[Row], sequences: int) -> None:
    by_serial = {item.serial: item for item in rows}
    batch = [item for item in rows if item.state is State.RUNNING]
    started = [by_serial[serial] for serial in pick(rows, Room(sequences), NOW_S)]
    if started and any(item.attempts for item in batch + started):
        assert len(batch + started) == 1


@given(ROWS, SEQUENCES, st.randoms(use_true_random=False))
def test_the_order_in_which_rows_are_given_does_not_matter(
    rows: list[Row], sequences: int, random: Any
) -> None:
    shuffled = random.sample(rows, len(rows))
    assert pick(shuffled, Room(sequences), NOW_S) == pick(rows, Room(sequences), NOW_S)


@given(ROWS, SEQUENCES)
def test_room_is_used_unless_a_suspect_is_about(rows: list[Row], sequences: int) -> None:
    innocent = [item for item in rows if not item.attempts]
    free = sequences - sum(item.state is State.RUNNING for item in innocent)
    waiting = [item for item in innocent if item.state is State.QUEUED and item.deadline_s > NOW_S]
    expected = max(0, min(free, len(waiting)))
    assert len(pick(innocent, Room(sequences), NOW_S)) == expected


def test_rows_may_come_from_an_iterator() -> None:
    assert pick(iter([running(1), queued(2)]), Room(2), NOW_S) == [2]


def test_a_row_is_overdue_at_its_deadline() -> None:
    rows = [queued(1, deadline_s=99), running(2, deadline_s=100), queued(3, deadline_s=100.5)]
    assert [item.serial for item in overdue(rows, NOW_S)] == [1, 2]


def test_the_next_deadline_is_the_earliest() -> None:
    assert next_deadline_s([queued(1, deadline_s=9), running(2, deadline_s=5)]) == 5
    assert next_deadline_s([]) is None


def test_the_queue_position_counts_who_would_start_before() -> None:
    rows = [queued(1), running(2, priority=9), queued(3, priority=9), queued(4, deadline_s=1)]
    assert [queue_position(rows, serial) for serial in (3, 4, 1)] == [0, 1, 2]
    assert queue_position(rows, 2) == 0


@pytest.mark.parametrize(
    ("rule", "rows", "late", "expected"),
    [
        ("others go first", [queued(1, priority=9), queued(2)], {1}, [2]),
        ("it waits for what runs", [queued(1, priority=9), running(2)], {1}, []),
        ("alone it runs", [queued(1)], {1}, [1]),
        ("of several the most urgent, one by one", [queued(1), queued(2, priority=9)], {1, 2}, [2]),
        ("a suspect that is late still runs alone", [suspect(1), queued(2)], {1}, [1]),
    ],
)
def test_a_row_that_would_be_late_waits_as_long_as_that_can_help(
    rule: str, rows: Sequence[Row], late: set[int], expected: list[int]
) -> None:
    assert pick(rows, Room(4), NOW_S, late) == expected, rule


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(0, 8))
def test_the_next_rows_are_those_that_would_be_picked(priorities: list[int], count: int) -> None:
    rows = [queued(serial, priority=priority) for serial, priority in enumerate(priorities)]
    found = [one.serial for one in next_rows(rows, count)]
    assert found == pick(rows, Room(count), NOW_S)
