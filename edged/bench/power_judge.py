"""Judges a run by the plant's truth, whatever the meter or the governor believed.

In:  cumulative joules of the board, the limits over time, the useful tokens.     Out: `Figures`.
Windows are sampled every 50 ms. Only those count that start 2 s or more after an event and lie in
a time of constant limits: a window that began under a higher budget is not held to the lower one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edged.board.virtual.plant import Board
from edged.power.budget import Limits

Floats = NDArray[np.float64]
SAMPLE_S = 0.05
SETTLED_S = 2.0
# Tolerances: 1 % of the mean, 2 % of the peak; noise and rounding of the meter are in them.
MEAN_TOLERANCE = 1.01
PEAK_TOLERANCE = 1.02
# A settled board is within so much of its limit.
SETTLE_TOLERANCE = 1.02


@dataclass(frozen=True, slots=True)
class Span:
    """A time of constant limits, between two events."""

    start_s: float
    end_s: float
    limits: Limits
    is_loaded: bool = True


@dataclass(frozen=True, slots=True)
class Figures:
    """What one arm did in one scenario; keys of the JSON.

    `window_mean_max_w` is the worst window of the loaded spans; `windows_over_share` and
    `peak_over_share` count windows over their limit by more than the tolerance.
    """

    mean_w: float
    window_mean_max_w: float
    windows_over_share: float
    peak_max_w: float
    settle_s: float
    useful_tokens: int
    j_per_token: float | None
    peak_over_share: float
    windows_under_share: float
    ripple_share: float
    clock_changes: int


class Energy(Protocol):
    """Cumulative joules at the board's input at each moment."""

    @property
    def times_s(self) -> Sequence[float]:
        """The moments."""

    @property
    def joules(self) -> Sequence[float]:
        """Drawn up to each."""


class Truth:
    """The board's energy as arrays."""

    def __init__(self, energy: Energy) -> None:
        self._times_s = np.array(energy.times_s)
        self._joules = np.array(energy.joules)

    def joules(self, start_s: float, end_s: float) -> float:
        """Return the joules between two moments."""
        start_j, end_j = np.interp([start_s, end_s], self._times_s, self._joules)
        return float(end_j - start_j)

    def means_w(self, start_s: float, end_s: float, window_s: float) -> Floats:
        """Return the means of all windows that start and end between two moments."""
        starts_s = np.arange(start_s, end_s - window_s + 1e-9, SAMPLE_S)
        start_j = np.interp(starts_s, self._times_s, self._joules)
        means: Floats = (
            np.interp(starts_s + window_s, self._times_s, self._joules) - start_j
        ) / window_s
        return means


def judged(board: Board, spans: Sequence[Span], tokens: int) -> Figures:
    """Return the figures of a run."""
    truth = Truth(board)
    loaded = [span for span in spans if span.is_loaded]
    over, under, peaks_over, ratios, peaks = [], [], [], [], []
    ripple = 0.0
    for span in spans:
        limits = span.limits
        means_w = truth.means_w(span.start_s + SETTLED_S, span.end_s, limits.window_s)
        peaks_w = truth.means_w(span.start_s + SETTLED_S, span.end_s, limits.peak_window_s)
        over.append(means_w > MEAN_TOLERANCE * limits.mean_w)
        peaks_over.append(peaks_w > PEAK_TOLERANCE * limits.peak_w)
        peaks.append(peaks_w)
        if span.is_loaded and len(means_w):
            under.append(means_w < 0.95 * limits.mean_w)
            ratios.append(means_w)
            ripple = max(ripple, _ripple(truth, span))
    start_s, end_s = loaded[0].start_s, loaded[-1].end_s
    joules = sum(truth.joules(span.start_s, span.end_s) for span in loaded)
    return Figures(
        mean_w=joules / sum(span.end_s - span.start_s for span in loaded),
        window_mean_max_w=_most(ratios),
        windows_over_share=_share(over),
        peak_max_w=_most(peaks),
        settle_s=max(_settle_s(truth, span) for span in spans),
        useful_tokens=tokens,
        j_per_token=joules / tokens if tokens else None,
        peak_over_share=_share(peaks_over),
        windows_under_share=_share(under),
        ripple_share=ripple,
        clock_changes=sum(start_s <= at_s <= end_s for at_s in board.clock_changes_s),
    )


def _share(flags: Sequence[Floats] | Sequence[NDArray[np.bool_]]) -> float:
    every = np.concatenate(flags) if flags else np.zeros(0)
    return float(every.mean()) if len(every) else 0.0


def _most(means_w: Sequence[Floats]) -> float:
    return max((float(part.max()) for part in means_w if len(part)), default=0.0)


def _ripple(truth: Truth, span: Span) -> float:
    """Return peak to peak of the window's mean, 30 s after the event, as a share of the limit."""
    limits = span.limits
    means_w = truth.means_w(span.start_s + 30.0, span.end_s, limits.window_s)
    return float(np.ptp(means_w)) / limits.mean_w if len(means_w) else 0.0


def _settle_s(truth: Truth, span: Span) -> float:
    """Return after how long no window over the limit by more than 2 % begins any more."""
    means_w = truth.means_w(span.start_s, span.end_s, span.limits.window_s)
    late = np.flatnonzero(means_w > SETTLE_TOLERANCE * span.limits.mean_w)
    return 0.0 if not len(late) else float(late[-1] + 1) * SAMPLE_S
