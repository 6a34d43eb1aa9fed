"""What runs next: one pure function.

In:  the unfinished rows, how much the engine may hold, the spool's time, what each client had.
Out: serials to start, and what each client has had then.
Does not know: the engine, the clock, the spool.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass, replace

from edged.rows import Row, State
from edged.turns import Queue, Turns, aged, flow_of

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

    def in_turn(self, rows: Iterable[Row]) -> Queue:
        """Return these rows as they would start."""
        return Queue(rows, self.now_s, self.turns, self.forecast_j)


@dataclass(frozen=True, slots=True)
class Picked:
    """The serials to start, the next one first, and what each flow has had then."""

    serials: Sequence[int]
    turns: Turns


def pick(rows: Iterable[Row], room: Room, queued: Queued, late: Set[int] = frozenset()) -> Picked:
    """Return what starts now.

    `late` are those that the power budget cannot serve in time while others run. They wait for
    them; when nothing else runs or waits, more cannot be granted, and they run one by one.

    Order: see `turns`. A batch that is full takes some more that are more urgent than one in it,
    which then sits out; what is in it rises too, so that it does not sit out for ever. A row whose
    engine died with it in the batch is a suspect: when its turn comes it waits for the batch to
    empty and runs alone, so that it can take nobody with it.
    """
    rows = list(rows)
    # An overdue one is in the batch until the engine has let it go.
    running = [row for row in rows if row.state is State.RUNNING]
    waiting = [row for row in rows if _waits(row, queued.now_s)]
    if not waiting:
        return Picked((), Turns())  # nobody competes: nobody owes anybody anything
    batch = _Batch(room.sequences, [aged(row, queued.now_s) for row in running])
    able = batch.takes(waiting)
    if not able or any(is_suspect(row) for row in running):
        return Picked((), queued.turns)
    queued = replace(queued, turns=queued.turns.among({flow_of(row) for row in waiting}))
    if late or any(is_suspect(row) for row in waiting):
        line = queued.in_turn(waiting)
        first = line.take()
        if is_suspect(first) or not (running or any(row.serial not in late for row in waiting)):
            alone = Picked((first.serial,), line.turns())
            return Picked((), queued.turns) if running else alone
        able = [row for row in able if row.serial not in late and not is_suspect(row)]
    return _filled(batch, queued, able)


def _filled(batch: _Batch, queued: Queued, able: Iterable[Row]) -> Picked:
    """Return those of `able` that the batch has room for."""
    serials: list[int] = []
    line = queued.in_turn(able)
    while (row := line.next()) is not None:
        if not batch.takes([row]):  # the last places went to others; the more urgent may sit over
            queued = replace(queued, turns=line.turns())
            line = queued.in_turn(batch.takes(line.rows()))
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

    def takes(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return those that get in: there is a place for one, or others sit out for it."""
        if not self.sequences or len(self.priorities) >= self.sequences + URGENT_OVER:
            return ()
        if len(self.priorities) < self.sequences:
            return rows
        # So many are in the batch that the last of them, and all below it, would sit out.
        last = sorted(self.priorities, reverse=True)[self.sequences - 1]
        return [row for row in rows if row.priority > last]


def overdue(rows: Iterable[Row], now_s: float) -> list[Row]:
    """Return the rows whose deadline has passed."""
    return [row for row in rows if row.deadline_s <= now_s]


def next_deadline_s(rows: Iterable[Row]) -> float | None:
    """Return the earliest deadline, s of the spool's clock; None without rows."""
    return min((row.deadline_s for row in rows), default=None)


def is_suspect(row: Row) -> bool:
    """Return whether an engine died while this row was in its batch."""
    return row.attempts > 0


def next_rows(rows: Iterable[Row], queued: Queued, count: int) -> list[Row]:
    """Return the waiting rows that would start next."""
    waiting = (row for row in rows if _waits(row, queued.now_s))
    return list(itertools.islice(queued.in_turn(waiting), count))


def queue_positions(
    rows: Iterable[Row], queued: Queued, serials: Collection[int]
) -> dict[int, int]:
    """Return how many waiting rows would start before each of `serials`; 0 for one that runs."""
    positions = dict.fromkeys(serials, 0)
    waiting = [row for row in rows if _waits(row, queued.now_s)]
    left = sum(row.serial in positions for row in waiting)
    for place, row in enumerate(queued.in_turn(waiting)):
        if not left:
            break
        if row.serial in positions:
            positions[row.serial] = place
            left -= 1
    return positions


def _waits(row: Row, now_s: float) -> bool:
    return row.state is State.QUEUED and row.deadline_s > now_s
