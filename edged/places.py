"""How many prompts would start before one: what a device is told of its place in the line.

In:  the rows that wait, what each client had.     Out: a number for each row that is asked for.
Pure. In a short line the rows are counted one by one. In a long one that would take as long as all
else that an accepted prompt takes: there it is reckoned flow by flow, a flow's rows all taken to
cost what its first one does. Where they do, the number is off by at most two for each flow.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edged.scheduler import Queued
from edged.spool.rows import Row, State
from edged.spool.unfinished import Flow, FlowRows, flow_of
from edged.turns import Turn, age

# So many rows that wait are counted one by one: about half a millisecond.
COUNTED_ROWS = 128


def places(rows: Collection[Row], flows: Mapping[Flow, FlowRows], queued: Queued) -> dict[int, int]:
    """Return how many waiting rows would start before each of `rows`; 0 for one that runs."""
    found = {row.serial: 0 for row in rows}
    waiting = [row for row in rows if row.state is State.QUEUED]
    if not waiting:
        return found
    if sum(len(one.rows) for one in flows.values()) <= COUNTED_ROWS:
        counted = enumerate(queued.in_turn(flows))
        return found | {row.serial: place for place, row in counted if row.serial in found}
    line = _Line(flows, queued)
    return found | {row.serial: line.reckoned(row) for row in waiting}


@dataclass(frozen=True, slots=True)
class _Standing:
    """A flow in the line.

    Attributes:
        had_j: what it had beyond the others.
        each_j: of its next row, and so of each.
        risen: levels, for its next row alone.
    """

    rows: Sequence[Row]
    had_j: float
    each_j: float
    risen: int

    def reach(self, until_j: float) -> float:
        """Return how many rows it takes to have had so much; below 0: it had more."""
        return (until_j - self.had_j) / self.each_j

    def before(self, row: Row) -> int:
        """Return how many of its rows have an earlier deadline."""
        return bisect.bisect_left(self.rows, _place(row), key=_place)


class _Line:
    """All flows in the line."""

    def __init__(self, flows: Mapping[Flow, FlowRows], queued: Queued) -> None:
        self._flows = {flow: _standing(flow, one, queued) for flow, one in flows.items()}
        # Whoever had no more than this may go at once; the earliest deadline of them is first.
        self._given_j: dict[int, float] = {}
        for (_, priority), one in self._flows.items():
            least_j = self._given_j.get(priority, math.inf)
            self._given_j[priority] = min(least_j, max(0.0, one.had_j))

    def reckoned(self, row: Row) -> int:
        """Return about how many rows start before one."""
        flow = flow_of(row)
        own = self._flows.get(flow)
        if own is None:
            return 0  # overdue: it will not start
        before = own.before(row)
        start_j = own.had_j + before * own.each_j
        level = row.priority + (0 if before else own.risen)
        others = (
            self._ahead(other, priority, row, level, start_j)
            for (client, priority), other in self._flows.items()
            if (client, priority) != flow
        )
        return before + sum(others)

    def _ahead(self, other: _Standing, priority: int, row: Row, level: int, start_j: float) -> int:
        """Return how many of another flow's rows go first; its head may have risen above."""
        is_head_higher = int(priority + other.risen > level)
        if priority > level:
            return len(other.rows)
        if priority < level:
            return is_head_higher
        given_j = self._given_j[priority]
        if start_j > given_j:
            count = math.ceil(other.reach(start_j))
        else:
            count = min(math.floor(other.reach(given_j)) + 1, other.before(row))
        return max(is_head_higher, min(len(other.rows), count))


def _standing(flow: Flow, waiting: FlowRows, queued: Queued) -> _Standing:
    turn = queued.turns.of.get(flow, Turn())
    each_j = queued.forecast_j(waiting.rows[0])
    return _Standing(waiting.rows, -turn.deficit_j, each_j, age(waiting, turn, queued.now_s))


def _place(row: Row) -> tuple[float, int]:
    return row.deadline_s, row.serial
