"""The prompts without an outcome, in memory, in every order that somebody asks for.

In:  rows as they come, change and go.     Out: one by serial or name, how many a client has, those
that are overdue, those of each flow that wait.
Pure. Each change costs a search in sorted lists, none a walk over the rows: with 10,000 of them a
walk at each event would be most of what the daemon does.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edged.spool.rows import Row, State

T = TypeVar("T")
# When, and the row's serial.
Place = tuple[float, int]
# The client and the priority.
Flow = tuple[str, int]


@dataclass(frozen=True, slots=True)
class FlowRows:
    """Rows of one flow that wait.

    Attributes:
        rows: by deadline, then by arrival; good until the next change.
        since_s: when the oldest was accepted.
        suspects: so many an engine died with.
    """

    rows: Sequence[Row]
    since_s: float
    suspects: int


def flow_of(row: Row) -> Flow:
    """Return the flow that a row belongs to."""
    return row.client, row.priority


def is_suspect(row: Row) -> bool:
    """Return whether an engine died while this row was in its batch."""
    return row.attempts > 0


def flows_of(rows: Iterable[Row]) -> dict[Flow, FlowRows]:
    """Return rows by their flows."""
    queues: defaultdict[Flow, _Queue] = defaultdict(_Queue)
    for row in rows:
        queues[flow_of(row)].add(row)
    return {flow: queue.after(None) for flow, queue in queues.items()}


class Unfinished(Mapping[int, Row]):
    """Rows by serial.

    Attributes:
        running: those in the engine's batch, by serial.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows: dict[int, Row] = {}
        self._serials: dict[tuple[str, str], int] = {}
        self._clients: Counter[str] = Counter()
        self._deadlines: list[tuple[float, int]] = []
        self._queues: defaultdict[Flow, _Queue] = defaultdict(_Queue)
        self.running: dict[int, Row] = {}
        for row in rows:
            self.put(row)

    def __getitem__(self, serial: int) -> Row:
        return self._rows[serial]

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: Row) -> None:
        """Take a row in, in the place of what it was before."""
        self.drop(row.serial)
        self._rows[row.serial] = row
        self._serials[row.client, row.id] = row.serial
        self._clients[row.client] += 1
        _sort_in(self._deadlines, (row.deadline_s, row.serial), _itself)
        if row.state is State.RUNNING:
            self.running[row.serial] = row
        else:
            self._queues[flow_of(row)].add(row)

    def drop(self, serial: int) -> Row | None:
        """Forget a row, and return what it was; None for one that is not here."""
        row = self._rows.pop(serial, None)
        if row is None:
            return None
        del self._serials[row.client, row.id]
        self._clients[row.client] -= 1
        if not self._clients[row.client]:
            del self._clients[row.client]
        del self._deadlines[bisect.bisect_left(self._deadlines, (row.deadline_s, serial))]
        if self.running.pop(serial, None) is None:
            queue = self._queues[flow_of(row)]
            queue.drop(row)
            if not queue.rows:
                del self._queues[flow_of(row)]
        return row

    def find(self, client: str, id: str) -> Row | None:
        """Return the row of (client, id)."""
        serial = self._serials.get((client, id))
        return None if serial is None else self._rows[serial]

    def count_of(self, client: str) -> int:
        """Return how many rows a client has."""
        return self._clients[client]

    @property
    def clients(self) -> int:
        """Return how many clients have any."""
        return len(self._clients)

    def overdue(self, now_s: float) -> list[Row]:
        """Return the rows whose deadline has passed, the oldest deadline first."""
        count = bisect.bisect_right(self._deadlines, now_s, key=lambda one: one[0])
        return [self._rows[serial] for _, serial in self._deadlines[:count]]

    def by_deadline(self) -> Iterator[Row]:
        """Yield the rows, the earliest deadline first; they must not change meanwhile."""
        return (self._rows[serial] for _, serial in self._deadlines)

    def flows(self, now_s: float) -> dict[Flow, FlowRows]:
        """Return the rows that wait and are not overdue, by flow."""
        found = ((flow, queue.after(now_s)) for flow, queue in self._queues.items())
        return {flow: rows for flow, rows in found if rows.rows}


class _Queue:
    """Rows of one flow, sorted."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._accepted: list[tuple[float, int]] = []
        self._suspects = 0

    def add(self, row: Row) -> None:
        _sort_in(self.rows, row, _place)
        _sort_in(self._accepted, (row.accepted_s, row.serial), _itself)
        self._suspects += is_suspect(row)

    def drop(self, row: Row) -> None:
        del self.rows[bisect.bisect_left(self.rows, _place(row), key=_place)]
        accepted = (row.accepted_s, row.serial)
        del self._accepted[bisect.bisect_left(self._accepted, accepted)]
        self._suspects -= is_suspect(row)

    def after(self, now_s: float | None) -> FlowRows:
        """Return the rows whose deadline comes after `now_s`."""
        if now_s is None or self.rows[0].deadline_s > now_s:
            return FlowRows(self.rows, self._accepted[0][0], self._suspects)
        first = bisect.bisect_right(self.rows, now_s, key=lambda row: row.deadline_s)
        rest = self.rows[first:]
        since_s = min((row.accepted_s for row in rest), default=now_s)
        return FlowRows(rest, since_s, sum(map(is_suspect, rest)))


def _sort_in(sorted_items: list[T], item: T, place: Callable[[T], Place]) -> None:
    if sorted_items and place(item) < place(sorted_items[-1]):
        bisect.insort(sorted_items, item, key=place)
    else:  # the usual case, by far: whoever comes later has a later deadline
        sorted_items.append(item)


def _itself(place: Place) -> Place:
    return place


def _place(row: Row) -> tuple[float, int]:
    return row.deadline_s, row.serial
