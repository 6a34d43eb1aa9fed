"""Whose turn it is: ageing priorities, and a fair share of joules for each client.

In:  waiting rows, what each flow had so far, the spool's time.     Out: rows in the order in which
they would start, and what each flow has had then.
Pure. A flow is what one client asks at one priority: it waits in the order of deadlines. The flow
of the highest level is next; its level is its priority, and one more for each `AGE_S` that it has
waited since it last had a turn. Within a level the flows take turns by deficit round robin: of
those that owe the others no joules the one with the earliest deadline is next (if some came from a
lower priority, the others go first), and owes what its prompt takes. When all owe, all are forgiven
what the one that owes least does.

Two bounds follow, and tests hold them. A flow that waits at priority p gets a turn after
(10 - p) * AGE_S and at most one turn of each other flow. And the joules of two flows of one
priority that both wait all the time differ by less than one prompt's worth.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

from edged.spool.rows import Row
from edged.spool.unfinished import Flow, FlowRows, flow_of

# A flow at the default priority, 5, passes all fresh ones of priority 9 after the default ttl,
# 300 s: so what waits for its usual deadline hardly ever delays the most urgent ones.
AGE_S = 60.0
# So many debts are kept of clients that have nothing here.
DEBTS_MAX = 1000

# Of a flow's next row; the smallest is first.
_Urgency = tuple[int, float, int]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one flow has had.

    Attributes:
        deficit_j: joules that the others had and it did not; below 0: that it owes them.
        served_s: when it last had a turn; None: not since it waits.
    """

    deficit_j: float = 0.0
    served_s: float | None = None


# Of a flow that is not known.
FRESH = Turn()


@dataclass(frozen=True, slots=True)
class Turns:
    """What each flow has had; nothing for one that is not among them."""

    of: Mapping[Flow, Turn] = field(default_factory=dict)

    def corrected(self, row: Row, surplus_j: float) -> Turns:
        """Return the turns after a row took `surplus_j` less than was forecast.

        That pays debts and is no claim: what the flow owed for the row may be forgiven by now.
        """
        flow = flow_of(row)
        turn = self.of.get(flow, FRESH)
        paid_j = min(turn.deficit_j + surplus_j, max(0.0, turn.deficit_j))
        return Turns({**self.of, flow: replace(turn, deficit_j=paid_j)})

    def among(self, waiting: Set[Flow]) -> Turns:
        """Return the turns of those that wait; the others keep their debts, and claim nothing."""
        gone = [(turn.deficit_j, flow) for flow, turn in self.of.items() if flow not in waiting]
        debts = heapq.nsmallest(DEBTS_MAX, (one for one in gone if one[0] < 0))
        kept = {flow: Turn(owed_j) for owed_j, flow in debts}
        return Turns(kept | {flow: turn for flow, turn in self.of.items() if flow in waiting})


@dataclass(slots=True)
class _Level:
    """Flows of one level.

    Attributes:
        given_j: what each flow here was given so far.
        ready: those that had no more than that, by priority, then by the deadline of their next
            row.
        owing: the others, by what they had, and so by when they are ready again.
    """

    given_j: float = 0.0
    ready: list[tuple[_Urgency, Flow]] = field(default_factory=list)
    owing: list[tuple[float, _Urgency, Flow]] = field(default_factory=list)

    def enter(self, flow: Flow, had_j: float, next_row: Row) -> None:
        """Take a flow in that waits with `next_row`."""
        urgency = (-next_row.priority, next_row.deadline_s, next_row.serial)
        if had_j <= self.given_j:
            heapq.heappush(self.ready, (urgency, flow))
        else:
            heapq.heappush(self.owing, (had_j, urgency, flow))

    def next(self) -> Flow:
        """Return the flow whose turn it is; if all owe, all are given what the best one owes."""
        if not self.ready:
            self.given_j = self.owing[0][0]
        while self.owing and self.owing[0][0] <= self.given_j:
            _, urgency, flow = heapq.heappop(self.owing)
            heapq.heappush(self.ready, (urgency, flow))
        return self.ready[0][1]

    @property
    def has_flows(self) -> bool:
        """Whether any waits here."""
        return bool(self.ready or self.owing)


@dataclass(slots=True)
class _Waiting:
    """A flow while its rows are taken.

    Attributes:
        all: its rows.
        taken: so many of them were taken or passed over; the next one follows.
        level: where it waits now.
        had_j: what it had, on the scale of its level's `given_j`.
        served_s: as in `Turn`.
    """

    all: FlowRows
    taken: int
    level: int
    had_j: float
    served_s: float | None

    @property
    def has_next(self) -> bool:
        """Whether a row is left."""
        return self.taken < len(self.all.rows)

    @property
    def next(self) -> Row:
        """The row that is next."""
        return self.all.rows[self.taken]

    @property
    def rest(self) -> FlowRows:
        """What was not taken."""
        if not self.taken:
            return self.all
        return replace(self.all, rows=self.all.rows[self.taken :])


def aged(row: Row, now_s: float) -> int:
    """Return the priority of a row with what it has risen since it was accepted."""
    return row.priority + max(0, int((now_s - row.accepted_s) / AGE_S))


def _nobody(row: Row) -> bool:
    """Return that a row is not passed over."""
    return False


class Queue:
    """Waiting rows, taken one by one in the order of their turns.

    Args:
        flows: those that wait; not changed here, so that a long queue costs nothing to look at.
        now_s: of the spool's clock.
        turns: what each flow has had.
        forecast_j: joules of a row.
        is_out: whether a row is passed over when it would be next, as if it did not wait.
    """

    def __init__(
        self,
        flows: Mapping[Flow, FlowRows],
        now_s: float,
        turns: Turns,
        forecast_j: Callable[[Row], float],
        is_out: Callable[[Row], bool] = _nobody,
    ) -> None:
        self._now_s = now_s
        self._forecast_j = forecast_j
        self._is_out = is_out
        self._before = turns
        self._levels: defaultdict[int, _Level] = defaultdict(_Level)
        self._flows: dict[Flow, _Waiting] = {}
        self._done: dict[Flow, Turn] = {}
        for flow, waiting in flows.items():
            turn = turns.of.get(flow, FRESH)
            level = flow[1] + age(waiting, turn, now_s)
            self._enter(flow, _Waiting(waiting, 0, level, -turn.deficit_j, turn.served_s))

    def __iter__(self) -> Iterator[Row]:
        """Take the rows in their order."""
        while self._flows:
            yield self.take()

    def next(self) -> Row | None:
        """Return the row that is next, and leave it; None when none waits."""
        if not self._flows:
            return None
        return self._flows[self._highest().next()].next

    def take(self) -> Row:
        """Take the next row; its flow has had its turn, and waits anew if it has another."""
        level = self._highest()
        flow = level.next()
        heapq.heappop(level.ready)
        waiting = self._flows[flow]
        row, taken = waiting.next, waiting.taken + 1
        deficit_j = level.given_j - waiting.had_j - self._forecast_j(row)
        del self._flows[flow]
        self._done[flow] = Turn(deficit_j, self._now_s)
        self._enter(flow, _Waiting(waiting.all, taken, flow[1], -deficit_j, self._now_s))
        return row

    def rest(self) -> dict[Flow, FlowRows]:
        """Return the rows that still wait."""
        return {flow: waiting.rest for flow, waiting in self._flows.items()}

    def turns(self) -> Turns:
        """Return what each flow has had by now."""
        waits = {
            flow: Turn(self._levels[one.level].given_j - one.had_j, one.served_s)
            for flow, one in self._flows.items()
        }
        return Turns({**self._before.of, **self._done, **waits})

    def _highest(self) -> _Level:
        return self._levels[max(number for number, one in self._levels.items() if one.has_flows)]

    def _enter(self, flow: Flow, waiting: _Waiting) -> None:
        """Let a flow wait for its turn, if it has a row that can be next."""
        while waiting.has_next and self._is_out(waiting.next):
            waiting.taken += 1
        if not waiting.has_next:
            return
        level = self._levels[waiting.level]
        waiting.had_j += level.given_j
        self._flows[flow] = waiting
        level.enter(flow, waiting.had_j, waiting.next)


def age(waiting: FlowRows, turn: Turn, now_s: float) -> int:
    """Return how many levels a flow has risen: it waits since its last turn, or its first row."""
    since_s = waiting.since_s
    if turn.served_s is not None:
        since_s = max(since_s, turn.served_s)
    return max(0, int((now_s - since_s) / AGE_S))
