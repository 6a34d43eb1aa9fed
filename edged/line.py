"""Those who wait: who is next, what each will cost, and when its answer is expected.

In:  rows of the spool, what running answers took.     Out: rows to start, charged to their clients.
A restart forgets what was learned here, and who had how much: then all begin alike.
Does not know: the engine's socket, how rows are stored.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edged.costs import Costs, Counted
from edged.grants import Grants, late_of
from edged.power.grant import Granted
from edged.rows import Row
from edged.scheduler import Queued, Room, pick, queue_positions
from edged.spool import Spool
from edged.turns import Turns

# Weight of the newest answer in the mean seconds of an answer.
MEAN_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a waiting row may expect.

    Attributes:
        position: rows that would start before it.
        estimated_s: seconds until its answer; None where nothing was learned yet.
    """

    position: int
    estimated_s: float | None


@dataclass(frozen=True, slots=True)
class Next:
    """Rows to start, the next one first, and what the power budget grants those it forecasts."""

    serials: Sequence[int]
    granted: Mapping[int, Granted]
    now_s: float


class Line:
    """The rows of the spool that wait."""

    def __init__(self, spool: Spool, grants: Grants) -> None:
        self._spool = spool
        self._grants = grants
        self._turns = Turns()
        self._costs = Costs()
        self._answer_s_mean: float | None = None

    def next(self, room: Room) -> Next:
        """Return what starts now; their clients have had their turns."""
        rows, queued = self._spool.rows.values(), self._queued()
        granted = self._grants.next(rows, queued)
        picked = pick(rows, room, queued, late_of(granted))
        self._turns = picked.turns
        return Next(picked.serials, granted, queued.now_s)

    def forecast_j(self, counted: Counted) -> float:
        """Return the joules that a prompt will take; so much its client's turn is charged with."""
        return self._costs.forecast_j(counted)

    def correct(self, row: Row, forecast_j: float, measured_j: float) -> None:
        """Give a client back what its row did not take, or charge what it took over."""
        self._turns = self._turns.corrected(row, forecast_j - measured_j)

    def learn(self, row: Row, measured_j: float, answer_s: float) -> None:
        """Take what a whole answer took."""
        self._costs = self._costs.learned(row, measured_j)
        mean_s = answer_s if self._answer_s_mean is None else self._answer_s_mean
        self._answer_s_mean = mean_s + MEAN_WEIGHT * (answer_s - mean_s)

    def relief_s(self, sequences: int) -> float | None:
        """Return in how many whole seconds a place becomes free; None where nobody knows."""
        if self._answer_s_mean is None:
            return None
        return math.ceil(self._answer_s_mean / max(1, sequences))

    def outlooks(
        self, serials: Collection[int], running: int, sequences: int
    ) -> dict[int, Outlook]:
        """Return what rows may expect.

        Args:
            serials: of the rows.
            running: so many are in the batch.
            sequences: so many may be.
        """
        positions = queue_positions(self._spool.rows.values(), self._queued(), serials)
        return {
            serial: Outlook(position, self._estimated_s(serial, position + running, sequences))
            for serial, position in positions.items()
        }

    def _estimated_s(self, serial: int, ahead: int, sequences: int) -> float | None:
        """Return the seconds until an answer, if any are known."""
        row = self._spool.rows.get(serial)
        if row is not None:
            left_s = row.deadline_s - self._spool.clock.now_s()
            granted = self._grants.granted(row, left_s, ahead)
            if granted is not None:
                return granted.seconds
        if self._answer_s_mean is None:
            return None
        return (1 + ahead // max(1, sequences)) * self._answer_s_mean

    def _queued(self) -> Queued:
        return Queued(self._spool.clock.now_s(), self._turns, self._costs.forecast_j)
