"""Where a calibration stops, for how long, and how long it still takes.

In:  the forecast's points, how often the meter tells.     Out: `Plan`.
Pure. First idle, then each point of the ladder in both phases, the cheapest first: a supply that is
too small shows late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edged.board.soc import Clocks, Point
from edged.power.forecast import Phase

PHASES: tuple[Phase, ...] = ("prefill", "decode")
# Clocks, batch and the chip's average are another point's for so long.
SETTLE_S = 3.0
# Threads spin, the DDR clock's and the NPU's tails: 3 s at most; then the load's warmth.
REST_S = 8.0
IDLE_S = 30.0
# A hundred readings of a chip: their noise is a hundredth of a watt and less.
DWELL_S = 12.0
READINGS_MIN = 8
# A meter that tells less often than this is a slow one.
SLOW_S = 5.0
SLOW_READINGS = 2
# 18 points of 30 s are nine minutes. A plug every 60 s takes four minutes for each point.
POINTS_MAX, SLOW_POINTS_MAX = 18, 6


@dataclass(frozen=True, slots=True)
class Stop:
    """One setting of the board; without a phase it idles, at whatever clocks it has then."""

    phase: Phase | None = None
    clocks: Clocks | None = None

    @property
    def words(self) -> str:
        """Return it in words."""
        if self.phase is None or self.clocks is None:
            return "idle"
        clocks = (f"{name} {hz / 1e6:.0f}" for name, hz in self.clocks.by_domain.items())
        return f"{self.phase:7} {' '.join(clocks)} MHz"


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole sweep.

    Attributes:
        idle_s, dwell_s: how long idling is read, and each other stop.
        readings_min: so many make a mean; a stop takes longer until they are there.
        left_out: points that are worth a look and get none.
    """

    stops: tuple[Stop, ...]
    idle_s: float
    dwell_s: float
    readings_min: int
    left_out: int = 0

    def settle_s(self, stop: Stop) -> float:
        """Return how long a stop runs before it is read."""
        return REST_S if stop.phase is None else SETTLE_S

    def read_s(self, stop: Stop) -> float:
        """Return how long it is read."""
        return self.idle_s if stop.phase is None else self.dwell_s

    def left_s(self, done: int) -> float:
        """Return the seconds that the stops behind the first `done` take."""
        return sum(self.settle_s(stop) + self.read_s(stop) for stop in self.stops[done:])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person wants of a sweep; None: as the meter allows.

    Attributes:
        points: operating points, at most; unset: as many as ten minutes hold, fewer with a slow
            meter.
        dwell_s: of readings at each stop, idling too.
    """

    points: int | None = None
    dwell_s: float | None = None


def plan(worth: Sequence[Point], period_s: float, wanted: Wanted) -> Plan:
    """Return what to measure.

    Args:
        worth: the ladder: points that are worth a look, by the prior.
        period_s: the meter tells about so often.
        wanted: by a person.
    """
    is_slow = period_s > SLOW_S
    most = wanted.points or (SLOW_POINTS_MAX if is_slow else POINTS_MAX)
    chosen = thinned(sorted(worth, key=lambda point: point.decode_w), most)
    at_work = (Stop(phase, point.clocks) for point in chosen for phase in PHASES)
    dwell_s = SLOW_READINGS * period_s if is_slow else DWELL_S
    return Plan(
        stops=(Stop(), *at_work),
        idle_s=wanted.dwell_s or max(IDLE_S, dwell_s),
        dwell_s=wanted.dwell_s or max(DWELL_S, dwell_s),
        readings_min=SLOW_READINGS if is_slow else READINGS_MIN,
        left_out=len(worth) - len(chosen),
    )


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most so many of the points, evenly spread; the dearest is always one."""
    if len(points) <= most:
        return list(points)
    if most == 1:
        return [points[-1]]
    step = (len(points) - 1) / (most - 1)
    return [points[round(place * step)] for place in range(most)]
