"""How good confidences are: do they tell right from wrong, and are they hit rates?

In:  judged confidences.     Out: AUROC, error at a coverage, calibration error.
Pure. Ties are met as by a draw among equals, so that no order of the rows flatters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

# Bins of the calibration error, of equal count. Source: Nguyen and O'Connor 2015, equal-count bins;
# ten as in Guo et al. 2017.
BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """One confidence, and whether what it was given for is exact."""

    confidence: float
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of a number of judged confidences; shares are 0..1.

    Attributes:
        auroc: chance that a right one has the higher confidence of a right and a wrong one; 0.5
            is guessing; None where all are right, or all wrong.
        error_at_100, error_at_80: share of wrong ones among all, and among the 80 % with the
            highest confidence.
        calibration_error: mean distance between confidence and share of right ones over ten bins
            of equal count (expected calibration error).
    """

    n: int
    auroc: float | None
    error_at_100: float
    error_at_80: float
    calibration_error: float


def reliability(judged: Sequence[Judged]) -> Reliability | None:
    """Return how good the confidences are; None where there are none."""
    if not judged:
        return None
    return Reliability(
        n=len(judged),
        auroc=auroc(judged),
        error_at_100=error_at(judged, 1.0),
        error_at_80=error_at(judged, 0.8),
        calibration_error=calibration_error(judged),
    )


def auroc(judged: Sequence[Judged]) -> float | None:
    """Return the area under the receiver operating characteristic; equals count half."""
    n_right = sum(one.is_exact for one in judged)
    n_wrong = len(judged) - n_right
    if not n_right or not n_wrong:
        return None
    wins, wrong_below = 0.0, 0
    for _, equal in _by_confidence(judged):
        right = sum(one.is_exact for one in equal)
        wins += right * (wrong_below + (len(equal) - right) / 2)
        wrong_below += len(equal) - right
    return wins / (n_right * n_wrong)


def error_at(judged: Sequence[Judged], coverage: float) -> float:
    """Return the share of wrong ones among the share `coverage` with the highest confidence."""
    kept = left = coverage * len(judged)
    wrong = 0.0
    for _, equal in reversed(_by_confidence(judged)):
        taken = min(left, len(equal))
        wrong += taken * sum(not one.is_exact for one in equal) / len(equal)
        left -= taken
    return wrong / kept


def calibration_error(judged: Sequence[Judged]) -> float:
    """Return the expected calibration error over `BINS` bins of equal count."""
    # Inside a group of equals each counts as the group's share: no order decides who is in a bin.
    ordered = [
        (confidence, sum(one.is_exact for one in equal) / len(equal))
        for confidence, equal in _by_confidence(judged)
        for _ in equal
    ]
    n = len(ordered)
    off = 0.0
    for at in range(BINS):
        inside = ordered[at * n // BINS : (at + 1) * n // BINS]
        off += abs(sum(confidence - share for confidence, share in inside))
    return off / n


def _by_confidence(judged: Iterable[Judged]) -> list[tuple[float, list[Judged]]]:
    """Return the groups of equal confidence, lowest first."""
    ordered = sorted(judged, key=lambda one: one.confidence)
    return [(key, list(equal)) for key, equal in groupby(ordered, key=lambda one: one.confidence)]
