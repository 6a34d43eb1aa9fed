"""Judges a run by the referee's record.

In:  the referee's file, the times of constant budget.     Out: `Figures` of each.
Windows of 10 s are sampled every 50 ms; only those count that start 2 s or more after a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edged.bench.host.plant import HEAT_S, Plant, drawn
from edged.bench.power_judge import SETTLED_S, Truth
from edged.power.budget import PEAK_RATIO

WINDOW_S, PEAK_WINDOW_S = 10.0, 1.0
# A window holds where it is no more over its limit, and is saturated where it is no more under.
OVER_MAX, UNDER_MIN = 1.02, 0.95
# A plant has all but a fiftieth of its heat then.
LASTING_S = 4 * HEAT_S


@dataclass(frozen=True, slots=True)
class Joules:
    """The energy of one plant."""

    times_s: Sequence[float]
    joules: Sequence[float]


@dataclass(frozen=True, slots=True)
class Record:
    """What the referee wrote: moments, CPU seconds of the engine, joules of its plant."""

    times_s: Sequence[float]
    cpu_s: Sequence[float]
    joules: Sequence[float]

    def truth(self) -> Truth:
        """Return the energy of the plant."""
        return Truth(Joules(self.times_s, self.joules))

    def cores(self, start_s: float, end_s: float) -> float:
        """Return how many cores the engine kept busy between two moments."""
        began_s, ended_s = np.interp([start_s, end_s], self.times_s, self.cpu_s)
        return float(ended_s - began_s) / (end_s - start_s)


def read_record(file: Path) -> Record:
    """Return a referee's record; its last line may be half written."""
    lines = file.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    columns = np.array([[float(word) for word in line.split()] for line in lines]).T
    return Record(*(column.tolist() for column in columns))


@dataclass(frozen=True, slots=True)
class Span:
    """A time of constant budget under full load; `start_s` is when it was set."""

    start_s: float
    end_s: float
    limit_w: float

    @property
    def settled_s(self) -> float:
        """Return from when it is judged."""
        return self.start_s + SETTLED_S


@dataclass(frozen=True, slots=True)
class Figures:
    """What was drawn in a span, settled.

    Attributes:
        windows: how many were judged.
        over_share, under_share: of them, over 1.02 and under 0.95 of the limit.
        peak_over_share: of the means of 1 s, over 1.02 of 1.2 times the limit.
    """

    limit_w: float
    windows: int
    mean_w: float
    worst_w: float
    least_w: float
    over_share: float
    under_share: float
    peak_over_share: float

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def judged(truth: Truth, span: Span) -> Figures:
    """Return the figures of a span, which must be longer than a window and the time to settle."""
    means_w = truth.means_w(span.settled_s, span.end_s, WINDOW_S)
    peaks_w = truth.means_w(span.settled_s, span.end_s, PEAK_WINDOW_S)
    joules = truth.joules(span.settled_s, span.end_s)
    limit_w = span.limit_w
    return Figures(
        limit_w=limit_w,
        windows=len(means_w),
        mean_w=joules / (span.end_s - span.settled_s),
        worst_w=float(means_w.max()),
        least_w=float(means_w.min()),
        over_share=float((means_w > OVER_MAX * limit_w).mean()),
        under_share=float((means_w < UNDER_MIN * limit_w).mean()),
        peak_over_share=float((peaks_w > OVER_MAX * PEAK_RATIO * limit_w).mean()),
    )


def lasting_w(record: Record, span: Span, seed: int, full_cores: float) -> float:
    """Return the worst window of a plant, had a span's load gone on until its heat was there.

    The load is played again and again to another plant than the one that ran, or to the same.
    """
    inside = [
        place for place, at_s in enumerate(record.times_s) if span.settled_s <= at_s <= span.end_s
    ]
    steps_s = np.diff([record.times_s[place] for place in inside])
    loads = np.diff([record.cpu_s[place] for place in inside]) / steps_s / full_cores
    plant, now_s = Plant(drawn(seed), 0.0), 0.0
    times_s, joules = [0.0], [0.0]
    while now_s < LASTING_S:
        for step_s, load in zip(steps_s.tolist(), loads.tolist(), strict=True):
            now_s += step_s
            plant.advance(now_s, load)
            times_s.append(now_s)
            joules.append(plant.joules)
    warm_s = now_s - (span.end_s - span.settled_s)
    return float(Truth(Joules(times_s, joules)).means_w(warm_s, now_s, WINDOW_S).max())
