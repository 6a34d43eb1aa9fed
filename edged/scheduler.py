"""What runs next: one pure function.

In:  the rows that run and wait, how much the engine may hold, the spool's time, what each client
had.
Out: serials to start, and what each client has had then.
Does not know: the engine, the clock, the spool.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from edged.spool.rows import Row
from edged.spool.unfinished import Flow, FlowRows, is_suspect
from edged.turns import Queue, Turns, aged

# So many may be in the engine over its room, each more urgent than one that then sits out. The
# engine has sequence ids to spare for them as long as no more than 8 template roots are in use;
# beyond that they wait there, first in the line.
URGENT_OVER = 8


@dataclass(frozen=True, slots=True)
class Room:
    """How many sequences the engine may hold at once; 0 while it is not ready."""

    sequences: int


@dataclass(frozen=True, slots=True)
class Queued:
    """What is known of those that wait.

    Attributes:
        now_s: of the spool's clock.
        turns: what each client's flows have had.
        forecast_j: joules that a row will take.
    """

    now_s: float
    turns: Turns
    forecast_j: Callable[[Row], float]

    def in_turn(self, flows: Mapping[Flow, FlowRows]) -> Queue:
        """Return these rows as they would start."""
        return Queue(flows, self.now_s, self.turns, self.forecast_j)

    def in_time(self, flows: Mapping[Flow, FlowRows], late: Set[int]) -> Queue:
        """Return those of them that wait for no others, as they would start."""

        def is_out(row: Row) -> bool:
            return row.serial in late and not is_suspect(row)

        return Queue(flows, self.now_s, self.turns, self.forecast_j, is_out)

    def together(self, flows: Mapping[Flow, FlowRows], late: Set[int]) -> Queue:
        """Return those of them that may run beside others, as they would start."""

        def is_out(row: Row) -> bool:
            return row.serial in late or is_suspect(row)

        return Queue(flows, self.now_s, self.turns, self.forecast_j, is_out)


@dataclass(frozen=True, slots=True)
class Picked:
    """The serials to start, the next one first, and what each flow has had then."""

    serials: Sequence[int]
    turns: Turns


def pick(
    running: Collection[Row],
    flows: Mapping[Flow, FlowRows],
    room: Room,
    queued: Queued,
    late: Set[int] = frozenset(),
) -> Picked:
    """Return what starts now of the rows that wait.

    `late` are those that the power budget cannot serve in time while others run. They wait for
    them; when nothing else runs or waits, more cannot be granted, and they run one by one.

    Order: see `turns`. A batch that is full takes some more that are more urgent than one in it,
    which then sits out; what is in it rises too, so that it does not sit out for ever. A row whose
    engine died with it in the batch is a suspect: when its turn comes it waits for the batch to
    empty and runs alone, so that it can take nobody with it.
    """
    if not flows:
        return Picked((), Turns())  # nobody competes: nobody owes anybody anything
    # An overdue one is in the batch until the engine has let it go.
    batch = _Batch(room.sequences, [aged(row, queued.now_s) for row in running])
    able = batch.takes(flows)
    if not able or any(is_suspect(row) for row in running):
        return Picked((), queued.turns)
    queued = replace(queued, turns=queued.turns.among(flows.keys()))
    if late or any(one.suspects for one in flows.values()):
        alone = _alone(queued, flows, late)
        if alone is not None:
            return Picked((), queued.turns) if running else alone
    return _filled(batch, queued, able, late)


def _alone(queued: Queued, flows: Mapping[Flow, FlowRows], late: Set[int]) -> Picked | None:
    """Return the row whose turn it is, if it has to run by itself.

    A late one holds up no suspect: each would wait for the other.
    """
    line = queued.in_time(flows, late)
    first = line.next()
    if first is None:
        line = queued.in_turn(flows)
    elif not is_suspect(first):
        return None
    return Picked((line.take().serial,), line.turns())


def _filled(batch: _Batch, queued: Queued, able: Mapping[Flow, FlowRows], late: Set[int]) -> Picked:
    """Return those of `able` that the batch has room for; late ones and suspects are passed over.

    They are when they come up: with 10,000 rows a walk over all would be most of a look.
    """
    serials: list[int] = []
    line = queued.together(able, late)
    while (row := line.next()) is not None:
        if not batch.has_place(row.priority):
            # The last places went to others; the more urgent may sit over.
            queued = replace(queued, turns=line.turns())
            line = queued.together(batch.takes(line.rest()), late)
            continue
        line.take()
        batch.priorities.append(aged(row, queued.now_s))
        serials.append(row.serial)
    return Picked(serials, line.turns())


@dataclass(slots=True)
class _Batch:
    """Who is in the engine, by priority, while it is filled."""

    sequences: int
    priorities: list[int]

    def takes(self, flows: Mapping[Flow, FlowRows]) -> dict[Flow, FlowRows]:
        """Return those that get in: there is a place for one, or others sit out for it."""
        return {flow: rows for flow, rows in flows.items() if self.has_place(flow[1])}

    def has_place(self, priority: int) -> bool:
        """Return whether a row of this priority gets in."""
        if not self.sequences or len(self.priorities) >= self.sequences + URGENT_OVER:
            return False
        if len(self.priorities) < self.sequences:
            return True
        # So many are in the batch that the last of them, and all below it, would sit out.
        return priority > sorted(self.priorities, reverse=True)[self.sequences - 1]


def next_rows(flows: Mapping[Flow, FlowRows], queued: Queued, count: int) -> list[Row]:
    """Return the waiting rows that would start next."""
    return list(itertools.islice(queued.in_turn(flows), count))
