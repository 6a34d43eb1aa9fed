"""Those who wait: who is next, what each will cost, and when its answer is expected.

In:  rows of the spool, what running answers took.     Out: rows to start, charged to their clients.
A restart forgets what was learned here, and who had how much: then all begin alike.
Does not know: the engine's socket, how rows are stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edged.costs import JOULES, Costs, Counted, Ratios
from edged.grants import Grants, late_of
from edged.places import places
from edged.power.grant import Granted
from edged.scheduler import Queued, Room, pick
from edged.spool.queue import Spool
from edged.spool.rows import Row, State
from edged.turns import Turns

# Weight of the newest answer in the mean error of what devices were told.
MEAN_WEIGHT = 0.2
# Shorter times are not told apart: replies have four decimals.
CLOCK_S = 1e-4


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


@dataclass(frozen=True, slots=True)
class Told:
    """What a device was told when its prompt was accepted."""

    at_s: float
    estimated_s: float


class Line:
    """The rows of the spool that wait.

    Attributes:
        error_share: mean error of what devices were told, as a share of what their answers took;
            None before the first.
    """

    def __init__(self, spool: Spool, grants: Grants) -> None:
        self._spool = spool
        self._grants = grants
        self._turns = Turns()
        self._joules = JOULES
        self._ratios = Ratios()
        self._seconds: Costs | None = None
        self._told: dict[int, Told] = {}
        self.error_share: float | None = None

    def next(self, room: Room) -> Next:
        """Return what starts now; their clients have had their turns."""
        rows, queued = self._spool.rows, self._queued()
        flows = rows.flows(queued.now_s)
        granted = self._grants.next(flows, queued)
        picked = pick(rows.running.values(), flows, room, queued, late_of(granted))
        self._turns = picked.turns
        return Next(picked.serials, granted, queued.now_s)

    def forecast_j(self, counted: Counted) -> float:
        """Return the joules that a prompt will take, whoever asks."""
        return self._joules.forecast(counted)

    def charge_j(self, row: Row) -> float:
        """Return the joules that a client's turn is charged with when its row starts."""
        return self.forecast_j(row) * self._ratios.of(row.client)

    def correct(self, row: Row, forecast_j: float, measured_j: float) -> None:
        """Give a client back what its row did not take, or charge what it took over."""
        self._turns = self._turns.corrected(row, forecast_j - measured_j)

    def learn(self, row: Row, measured_j: float, answer_s: float) -> None:
        """Take what a whole answer took, and how far off its device was told."""
        self._ratios.learn(row.client, self.forecast_j(row), measured_j)
        self._joules = self._joules.learned(row, measured_j)
        known = self._seconds
        self._seconds = Costs.of(row, answer_s) if known is None else known.learned(row, answer_s)
        told = self._told.get(row.serial)
        if told is not None:
            took_s = self._spool.clock.now_s() - told.at_s
            off = abs(took_s - told.estimated_s) / max(took_s, CLOCK_S)
            before = off if self.error_share is None else self.error_share
            self.error_share = before + MEAN_WEIGHT * (off - before)

    def told_s(self, serial: int) -> float | None:
        """Return the seconds that a device was told, if it was told any."""
        told = self._told.get(serial)
        return None if told is None else told.estimated_s

    def ended(self, serial: int) -> None:
        """Forget a row that has its outcome."""
        self._told.pop(serial, None)

    def relief_s(self, sequences: int) -> float | None:
        """Return in how many seconds a place becomes free; None where nobody knows."""
        return None if self._seconds is None else self._seconds.mean / max(1, sequences)

    def outlooks(
        self, serials: Collection[int], running: int, sequences: int | None
    ) -> dict[int, Outlook]:
        """Return what rows may expect; the first time that counts as told.

        Args:
            serials: of the rows.
            running: so many are in the batch.
            sequences: so many may be; None: nothing starts, and nobody knows for how long.
        """
        queued = self._queued()
        rows = [self._spool.rows[serial] for serial in serials if serial in self._spool.rows]
        positions = places(rows, self._spool.rows.flows(queued.now_s), queued)
        found = dict.fromkeys(serials, Outlook(0, None))
        for row in rows:
            position = positions[row.serial]
            estimated_s = None
            if sequences is not None:
                estimated_s = self._estimated_s(row, position + running, max(1, sequences))
            if estimated_s is not None:
                self._told.setdefault(row.serial, Told(queued.now_s, estimated_s))
            found[row.serial] = Outlook(position, estimated_s)
        return found

    def _estimated_s(self, row: Row, ahead: int, sequences: int) -> float | None:
        """Return the seconds until an answer, if any are known."""
        granted = self._grants.granted(row, row.deadline_s - self._spool.clock.now_s(), ahead)
        if granted is not None:
            return granted.seconds
        if self._seconds is None:
            return None
        if row.state is State.RUNNING:
            return self._seconds.forecast(row)
        return expected_s(ahead, sequences, self._seconds.mean, self._seconds.forecast(row))

    def _queued(self) -> Queued:
        return Queued(self._spool.clock.now_s(), self._turns, self.charge_j)


def expected_s(ahead: int, sequences: int, mean_s: float, own_s: float) -> float:
    """Return the seconds until an answer.

    Args:
        ahead: so many run or would start before it.
        sequences: so many run together, so that a place becomes free each `mean_s / sequences`.
        mean_s: of an answer.
        own_s: of this one, once it has its place.
    """
    places = max(0, ahead - sequences + 1)
    return places * mean_s / sequences + own_s
