"""How many prompts would start before one: what a device is told of its place in the line.

In:  the rows that wait, what each client had.     Out: a number for each row that is asked for.
Pure. In a short line the rows are counted one by one. In a long one that would take as long as all
else that an accepted prompt takes: there it is reckoned, a flow's rows all taken to cost what its
first one does. Where they do, the number is off by at most two for each flow. The flows are gone
through once for all rows that are asked for.
"""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from edged.scheduler import Queued
from edged.spool.rows import Row, State
from edged.spool.unfinished import Flow, FlowRows, flow_of
from edged.turns import FRESH, age

# So many rows that wait are counted one by one: about half a millisecond.
COUNTED_ROWS = 128
# A flow is asked in so many times as long as it takes to sort in one of its rows. Sorted once for
# many that are told, or asked for each of a few: whatever costs less.
ASKED_COST = 4
# Behind every row.
LAST = (math.inf, 0)


def places(rows: Collection[Row], flows: Mapping[Flow, FlowRows], queued: Queued) -> dict[int, int]:
    """Return how many waiting rows would start before each of `rows`; 0 for one that runs."""
    found = {row.serial: 0 for row in rows}
    waiting = [row for row in rows if row.state is State.QUEUED]
    if not waiting:
        return found
    if sum(len(one.rows) for one in flows.values()) <= COUNTED_ROWS:
        counted = enumerate(queued.in_turn(flows))
        return found | {row.serial: place for place, row in counted if row.serial in found}
    line = _Line(flows, queued, len(waiting))
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

    def before(self, row: Row) -> int:
        """Return how many of its rows have an earlier deadline."""
        return bisect.bisect_left(self.rows, _place(row), key=_place)

    def started(self, until_j: float) -> int:
        """Return how many of its rows start before it has had so much."""
        return max(0, min(len(self.rows), math.ceil((until_j - self.had_j) / self.each_j)))

    def starts_j(self) -> list[float]:
        """Return what it has had when each of its rows starts."""
        return [self.had_j + number * self.each_j for number in range(len(self.rows))]

    def ready(self, given_j: float) -> Sequence[Row]:
        """Return those of its rows that start before it has had more than was given."""
        return self.rows[: max(0, math.floor((given_j - self.had_j) / self.each_j) + 1)]


class _Priority:
    """The flows of one priority.

    Args:
        priority: theirs.
        flows: how each stands.
        told: so many rows are told their places.

    Attributes:
        rows: so many wait.
    """

    def __init__(self, priority: int, flows: Sequence[_Standing], told: int) -> None:
        self._flows = flows
        # Whoever had no more than this may go at once; the earliest deadline of them is first.
        self._given_j = min(max(0.0, one.had_j) for one in flows)
        self._risen = [one for one in flows if one.risen]
        self._levels = sorted(priority + one.risen for one in self._risen)
        self.rows = sum(len(one.rows) for one in flows)
        self._is_sorted = told * len(flows) * ASKED_COST > self.rows

    def heads_above(self, level: int) -> int:
        """Return how many flows have a first row that has risen above a level."""
        return len(self._levels) - bisect.bisect_right(self._levels, level)

    def ahead(self, row: Row, start_j: float) -> int:
        """Return how many rows go before one that waits among them, its own flow's too.

        Its flow will have had `start_j` then. The first row of a flow that has risen goes first.
        """
        if start_j > self._given_j:
            started = self._started(start_j)
            return started + len(self._risen_j) - bisect.bisect_left(self._risen_j, start_j)
        place = _place(row)
        before = bisect.bisect_left(self._ready, place)
        return before + len(self._risen_first) - bisect.bisect_left(self._risen_first, place)

    def _started(self, until_j: float) -> int:
        """Return how many rows start before their flow has had so much."""
        if self._is_sorted:
            return bisect.bisect_left(self._starts_j, until_j)
        return sum(one.started(until_j) for one in self._flows)

    @cached_property
    def _starts_j(self) -> list[float]:
        return sorted(chain.from_iterable(one.starts_j() for one in self._flows))

    @cached_property
    def _risen_j(self) -> list[float]:
        return sorted(one.had_j for one in self._risen)

    @cached_property
    def _ready(self) -> list[tuple[float, int]]:
        return sorted(_place(row) for one in self._flows for row in one.ready(self._given_j))

    @cached_property
    def _risen_first(self) -> list[tuple[float, int]]:
        ready = (one.ready(self._given_j) for one in self._risen)
        return sorted(_place(rows[0]) if rows else LAST for rows in ready)


class _Line:
    """All flows in the line."""

    def __init__(self, flows: Mapping[Flow, FlowRows], queued: Queued, told: int) -> None:
        self._flows = {flow: _standing(flow, one, queued) for flow, one in flows.items()}
        by_priority: defaultdict[int, list[_Standing]] = defaultdict(list)
        for (_, priority), one in self._flows.items():
            by_priority[priority].append(one)
        self._priorities = {each: _Priority(each, own, told) for each, own in by_priority.items()}

    def reckoned(self, row: Row) -> int:
        """Return about how many rows start before one."""
        own = self._flows.get(flow_of(row))
        if own is None:
            return 0  # overdue: it will not start
        before = own.before(row)
        level = row.priority + (0 if before else own.risen)
        start_j = own.had_j + before * own.each_j
        count = 0
        for priority, one in self._priorities.items():
            if priority > level:
                count += one.rows
            elif priority < level:
                count += one.heads_above(level)
            else:
                count += one.ahead(row, start_j)
        return count


def _standing(flow: Flow, waiting: FlowRows, queued: Queued) -> _Standing:
    turn = queued.turns.of.get(flow, FRESH)
    each_j = queued.forecast_j(waiting.rows[0])
    return _Standing(waiting.rows, -turn.deficit_j, each_j, age(waiting, turn, queued.now_s))


def _place(row: Row) -> tuple[float, int]:
    return row.deadline_s, row.serial
