from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edged.clock import BoardClock, Instant, Record, Resumed, SpoolClock, resume


def instant(
    boot_id: str = "a", boottime_s: float = 1000, wall_s: float = 5000, *, synchronised: bool = True
) -> Instant:
    return Instant(boot_id, boottime_s, wall_s, synchronised)


THEN = Record(70.0, instant())
UNSYNCHRONISED = Record(70.0, instant(synchronised=False))


@pytest.mark.parametrize(
    ("rule", "record", "now", "expected"),
    [
        ("a new spool starts at 0", None, instant(), Resumed(0.0, True)),
        ("in one boot the boot clock counts", THEN, instant("a", 1010, 0), Resumed(80.0, True)),
        (
            "in one boot the wall clock is not asked",
            UNSYNCHRONISED,
            instant("a", 1010, 0, synchronised=False),
            Resumed(80.0, True),
        ),
        ("a boot clock that jumped back stands", THEN, instant("a", 990), Resumed(70.0, True)),
        ("after a reboot the time off counts", THEN, instant("b", 3, 5030), Resumed(100.0, True)),
        (
            "not if the clock was wrong before",
            UNSYNCHRONISED,
            instant("b", 3, 5030),
            Resumed(70.0, False),
        ),
        (
            "not if the clock is wrong after",
            THEN,
            instant("b", 3, 5030, synchronised=False),
            Resumed(70.0, False),
        ),
        ("a wall clock that jumped back tells nothing", THEN, instant("b", 3, 4999),
         Resumed(70.0, False)),
    ],
)  # fmt: skip
def test_the_clock_goes_on_where_the_last_commit_left_it(
    rule: str, record: Record | None, now: Instant, expected: Resumed
) -> None:
    assert resume(record, now) == expected, rule


SECONDS = st.floats(0, 1e9, allow_nan=False)
INSTANTS = st.builds(Instant, st.sampled_from("ab"), SECONDS, SECONDS, st.booleans())


@given(st.builds(Record, SECONDS, INSTANTS), INSTANTS)
@example(
    Record(1e-9, Instant("a", 0.0, 1e9, synchronised=True)),
    Instant("b", 0.0, 1e9, synchronised=True),
)
def test_the_clock_never_runs_backwards(record: Record, now: Instant) -> None:
    assert resume(record, now).spool_s >= record.spool_s


@given(st.builds(Record, SECONDS, INSTANTS), INSTANTS)
def test_time_that_no_clock_saw_is_not_invented(record: Record, now: Instant) -> None:
    resumed = resume(record, now)
    assert resumed.certain or resumed.spool_s == record.spool_s


def test_this_machines_clocks_can_be_read() -> None:
    first, second = BoardClock().instant(), BoardClock().instant()
    assert first.boot_id == second.boot_id
    assert first.boottime_s <= second.boottime_s


def test_a_clock_goes_on_from_its_own_record() -> None:
    board = BoardClock()
    clock = SpoolClock(board, None)
    assert clock.certain
    before_s = clock.now_s()
    record = clock.record()
    again = SpoolClock(board, record)
    assert again.certain
    assert before_s <= record.spool_s <= again.now_s()
