"""How many of a batch share its steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.batch import Running, together
from edged.spool.rows import State
from edged.turns import AGE_S
from tests.prompt_fixtures import candidate, row

MOST = 8
JOB = candidate().job


def run(
    serial: int, priority: int, sequences: int | None = None, *, accepted_s: float = 0.0
) -> Running:
    """Return a row in the batch that is in time among so many."""
    running = row(serial, state=State.RUNNING, priority=priority, accepted_s=accepted_s)
    return Running(running, JOB, accepted_s, 1.0, sequences=sequences)


@pytest.mark.parametrize(
    ("rule", "batch", "expected"),
    [
        ("alone it is as many as there may be", [], MOST),
        ("nobody wants fewer", [run(1, 5), run(2, 9)], MOST),
        ("the most urgent are in time", [run(1, 5), run(2, 7, 2), run(3, 7, 3)], 2),
        ("the less urgent have no say", [run(1, 5, 1), run(2, 7, 2)], 2),
        ("never more than there may be", [run(1, 7, MOST + 1)], MOST),
    ],
)
def test_the_most_urgent_say_how_many_share_steps(
    rule: str, batch: list[Running], expected: int
) -> None:
    assert together(batch, MOST, now_s=0.0) == expected, rule


def test_what_has_risen_to_the_most_urgent_is_not_cut_off_by_them() -> None:
    now_s = 2 * AGE_S
    batch = [run(1, 5), *(run(serial, 7, 2, accepted_s=now_s) for serial in (2, 3, 4))]
    assert together(batch, MOST, now_s - 1) == 2
    assert together(batch, MOST, now_s) == 4


def test_what_has_not_risen_so_far_sits_out_behind_what_has() -> None:
    now_s = 2 * AGE_S
    batch = [run(1, 5), run(2, 7, 1, accepted_s=now_s), run(3, 4, accepted_s=now_s)]
    assert together(batch, MOST, now_s) == 2


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.none() | st.integers(1, MOST), st.floats(0.0, 900.0)),
        min_size=1,
        max_size=MOST,
    )
)
def test_nobody_sits_out_for_ever(drawn: list[tuple[int, int | None, float]]) -> None:
    """The engine cuts by priority, then by arrival: who is older than all urgent ones is in."""
    now_s = 900.0
    batch = [
        run(serial, priority, sequences, accepted_s=accepted_s)
        for serial, (priority, sequences, accepted_s) in enumerate(drawn)
    ]
    shared = together(batch, MOST, now_s)
    in_order = sorted(batch, key=lambda one: -one.row.priority)
    top = in_order[0].row.priority
    for place, one in enumerate(in_order):
        if one.row.priority < top and now_s - one.row.accepted_s >= 10 * AGE_S:
            assert place < shared
