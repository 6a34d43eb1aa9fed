"""Where the board's joules went: to answers, to overhead, to idling, or nowhere known.

In:  the counter of whoever says the watts, the idle floor, what each step cost and for whom.
Out: `Joules`, whose parts add up to the counter.
Pure. What the counter says beyond idle and steps is overhead: loading, the canary, roots, tails of
the NPU and the DDR clock, and what the meter corrects later.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Joules:
    """Joules since the first start of the state directory, board input.

    Attributes:
        outcomes_j: above idle, of every outcome that was stored: done, error, expired, cancelled.
        overhead_j: above idle, for nobody's answer, or for an inference that was begun again.
        idle_j: the idle floor, at all times that were counted.
        unmetered_j: the idle floor while no daemon ran and the board did.
    """

    outcomes_j: float = 0.0
    overhead_j: float = 0.0
    idle_j: float = 0.0
    unmetered_j: float = 0.0

    @property
    def counter_j(self) -> float:
        """Return the sum of all parts."""
        return self.outcomes_j + self.overhead_j + self.idle_j + self.unmetered_j


@dataclass(frozen=True, slots=True)
class Counted:
    """What a source has counted since its start: all joules, and the idle floor's part of them."""

    counter_j: float
    idle_j: float


@dataclass(frozen=True, slots=True)
class Moment:
    """When a note was written: the kernel's boot, and the spool's seconds."""

    boot_id: str
    spool_s: float


class Account:
    """The books since this daemon's start, on top of what an earlier one left."""

    def __init__(self, kept: Joules) -> None:
        self._outcomes_j = kept.outcomes_j
        self._overhead_j = kept.overhead_j
        self._idle_j = kept.idle_j
        self._unmetered_j = kept.unmetered_j
        self._in_flight_j = 0.0
        self._charged_j = 0.0
        self._counted = Counted(0.0, 0.0)

    def count(self, counted: Counted) -> None:
        """Take the source's counters as they are now."""
        passed_j = counted.counter_j - self._counted.counter_j
        idle_j = counted.idle_j - self._counted.idle_j
        self._counted = counted
        self._idle_j += idle_j
        self._overhead_j += passed_j - idle_j - self._charged_j
        self._charged_j = 0.0

    def charge(self, answers_j: float, others_j: float) -> None:
        """Book a step: what it cost for answers under way, and for nobody's."""
        self._charged_j += answers_j + others_j
        self._in_flight_j += answers_j
        self._overhead_j += others_j

    def settle(self, answer_j: float) -> None:
        """An answer's outcome carries its joules from now on."""
        self._in_flight_j -= answer_j
        self._outcomes_j += answer_j

    def waste(self, answer_j: float) -> None:
        """An inference is begun again: what it cost so far was for nothing."""
        self._in_flight_j -= answer_j
        self._overhead_j += answer_j

    @property
    def joules(self) -> Joules:
        """Return the parts; answers under way are overhead until their outcome carries them."""
        overhead_j = self._overhead_j + self._in_flight_j
        return Joules(self._outcomes_j, overhead_j, self._idle_j, self._unmetered_j)


def as_note(joules: Joules, moment: Moment) -> str:
    """Return what the spool keeps with the outcomes."""
    return json.dumps(asdict(joules) | asdict(moment))


def from_note(note: str | None, now: Moment, floor_w: float) -> Joules:
    """Return the kept joules, with the idle ones of the time in this boot that nobody counted.

    After a reboot none are added: for how long the board idled before it, nobody knows.
    """
    if note is None:
        return Joules()
    table = json.loads(note)
    joules = Joules(**{item.name: _sane(table.get(item.name)) for item in fields(Joules)})
    if table.get("boot_id") != now.boot_id:
        return joules
    away_s = max(0.0, now.spool_s - _sane(table.get("spool_s")))
    return replace(joules, unmetered_j=joules.unmetered_j + away_s * floor_w)


def _sane(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return float(value)
