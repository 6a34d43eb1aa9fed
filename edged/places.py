"""How many prompts would start before one: what a device is told of its place in the line.

In:  the rows that wait, what each client had.     Out: a number for each row that is asked for.
Pure. In a short line the rows are counted one by one. In a long one that would take as long as all
else that an accepted prompt takes: there it is reckoned flow by flow, a flow's rows all taken to
cost what its first one does. Where they do, the number is off by at most two for each flow.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edged.rows import Row, State
from edged.scheduler import Queued
from edged.turns import Turn, age
from edged.unfinished import Flow, FlowRows, flow_of

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
    line = {flow: _standing(flow, one, queued) for flow, one in flows.items()}
    return found | {row.serial: _reckoned(row, flows, line) for row in waiting}


@dataclass(frozen=True, slots=True)
class _Standing:
    """A flow in the line.

    Attributes:
        had_j: what it had beyond the others.
        each_j: of its next row, and so of each.
        risen: levels, for its next row alone.
    """

    rows: int
    had_j: float
    each_j: float
    risen: int

    def before(self, start_j: float) -> int:
        """Return how many of its rows start before the flow has had so much."""
        return max(0, min(self.rows, math.ceil((start_j - self.had_j) / self.each_j)))


def _standing(flow: Flow, waiting: FlowRows, queued: Queued) -> _Standing:
    turn = queued.turns.of.get(flow, Turn())
    each_j = queued.forecast_j(waiting.rows[0])
    risen = age(waiting, turn, queued.now_s)
    return _Standing(len(waiting.rows), -turn.deficit_j, each_j, risen)


def _reckoned(row: Row, flows: Mapping[Flow, FlowRows], line: Mapping[Flow, _Standing]) -> int:
    """Return about how many rows start before one."""
    flow = flow_of(row)
    if flow not in flows:
        return 0  # overdue: it will not start
    own = line[flow]
    place = (row.deadline_s, row.serial)
    before = bisect.bisect_left(
        flows[flow].rows, place, key=lambda other: (other.deadline_s, other.serial)
    )
    start_j = own.had_j + before * own.each_j
    level = row.priority + (0 if before else own.risen)
    others = (
        _ahead(other, name[1] + other.risen > level, name[1] - level, start_j)
        for name, other in line.items()
        if name != flow
    )
    return before + sum(others)


def _ahead(other: _Standing, is_head_higher: bool, higher: int, start_j: float) -> int:
    """Return how many of another flow's rows go first; its head may have risen above the rest."""
    if higher > 0:
        return other.rows
    if higher == 0:
        return max(int(is_head_higher), other.before(start_j))
    return int(is_head_higher)
