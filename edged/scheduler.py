"""What runs next: one pure function.

In:  the unfinished rows, how much the engine may hold, the spool's time.     Out: serials to start.
Does not know: the engine, the clock, the spool.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Set
from dataclasses import dataclass

from edged.rows import Row, State


@dataclass(frozen=True, slots=True)
class Room:
    """How many sequences the engine may hold at once; 0 while it is not ready."""

    sequences: int


def pick(rows: Iterable[Row], room: Room, now_s: float, late: Set[int] = frozenset()) -> list[int]:
    """Return the serials to start now, most urgent first.

    `late` are those that the power budget cannot serve in time while others run. They wait for
    them; when nothing else runs or waits, more cannot be granted, and they run one by one.

    Order: priority, then the earlier deadline, then arrival. A row whose engine died with it in the
    batch is a suspect: when its turn comes it waits for the batch to empty and runs alone, so that
    it can take nobody with it.
    """
    rows = list(rows)
    # An overdue one is in the batch until the engine has let it go.
    running = [row for row in rows if row.state is State.RUNNING]
    waiting = (row for row in rows if row.state is State.QUEUED and row.deadline_s > now_s)
    queued = sorted(waiting, key=_urgency)
    if not queued or not room.sequences or any(is_suspect(row) for row in running):
        return []
    if is_suspect(queued[0]):
        return [] if running else [queued[0].serial]
    in_time = [row for row in queued if row.serial not in late]
    if not in_time and not running:
        in_time = queued[:1]
    innocent = [row.serial for row in in_time if not is_suspect(row)]
    return innocent[: max(0, room.sequences - len(running))]


def next_rows(rows: Iterable[Row], count: int) -> list[Row]:
    """Return the most urgent waiting rows."""
    return heapq.nsmallest(count, (row for row in rows if row.state is State.QUEUED), key=_urgency)


def overdue(rows: Iterable[Row], now_s: float) -> list[Row]:
    """Return the rows whose deadline has passed."""
    return [row for row in rows if row.deadline_s <= now_s]


def next_deadline_s(rows: Iterable[Row]) -> float | None:
    """Return the earliest deadline, s of the spool's clock; None without rows."""
    return min((row.deadline_s for row in rows), default=None)


def is_suspect(row: Row) -> bool:
    """Return whether an engine died while this row was in its batch."""
    return row.attempts > 0


def queue_position(rows: Iterable[Row], serial: int) -> int:
    """Return how many queued rows would start before `serial`."""
    queued = sorted((row for row in rows if row.state is State.QUEUED), key=_urgency)
    return next((place for place, row in enumerate(queued) if row.serial == serial), 0)


def _urgency(row: Row) -> tuple[int, float, int]:
    return (-row.priority, row.deadline_s, row.serial)
