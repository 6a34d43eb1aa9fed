"""Fits the curves of `calibration` on answers whose right ones are known.

In:  marked answers to rows that the model never saw, nor is measured on.     Out: a `Table`.
Pure. A curve has three numbers, found as the most probable ones: the likelihood of the rows, and a
pull towards the curve of all fields of the template, which few rows or few errors cannot leave far.
Slopes stay at 0 or above, so that a surer answer never gets a lower chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edged.calibration import (
    Confidence,
    Curve,
    Curves,
    Table,
    TemplateCurves,
    confidence,
    least_log_p,
    log_odds,
    sum_log_p,
)
from edged.engine.frames import Wire
from edged.evaluation.cases import Mark

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

# Weight of the pull towards the template's common curve, as the precision of slopes and offset.
# Source: five-fold cross-validation on the calibration rows of dock-mini; 1 to 20 differ by 0.002.
PULL = 5.0
OFFSET_PULL = 0.5
# The common curve and the whole answer's are pulled, weakly, towards 0.
COMMON_PULL = 0.5
# So few rows say nothing of their own.
ROWS_MIN = 30
FOLDS = 5
_STEPS_MAX = 100


def fit(model_digest: str, marks: Iterable[Mark]) -> Table:
    """Return the table of all templates and wire forms with enough rows."""
    groups: dict[tuple[str, str], dict[Wire, list[Mark]]] = {}
    for mark in marks:
        if mark.outcome.finish == "schema" and mark.outcome.fields:
            template = mark.case.template
            forms = groups.setdefault((template.name, template.digest), {})
            forms.setdefault(mark.case.wire, []).append(mark)
    return Table(
        version=1,
        model=model_digest,
        templates={
            name: TemplateCurves(digest, _forms(forms)) for (name, digest), forms in groups.items()
        },
    )


def cross_validated(model_digest: str, marks: Sequence[Mark]) -> list[tuple[Mark, Confidence]]:
    """Return each mark with what curves say of it that were fitted without its fifth of them."""
    found = []
    for fold in range(FOLDS):
        others = [mark for at, mark in enumerate(marks) if at % FOLDS != fold]
        templates = fit(model_digest, others).templates
        for mark in marks[fold::FOLDS]:
            known = templates.get(mark.case.template.name)
            curves = None if known is None else known.forms.get(mark.case.wire)
            found.append((mark, confidence(mark.outcome, curves)))
    return found


def _forms(forms: Mapping[Wire, Sequence[Mark]]) -> dict[Wire, Curves]:
    return {wire: _curves(marks) for wire, marks in forms.items() if len(marks) >= ROWS_MIN}


def _curves(marks: Sequence[Mark]) -> Curves:
    by_field: dict[str, list[tuple[float, float, bool]]] = {}
    for mark in marks:
        least = log_odds(least_log_p(mark.outcome.fields))
        for score in mark.outcome.fields:
            point = (log_odds(score.log_p_sum), least, mark.fields.get(score.name, False))
            by_field.setdefault(score.name, []).append(point)
    every = [point for points in by_field.values() for point in points]
    common = _fitted(every, np.zeros(3), np.array([COMMON_PULL, COMMON_PULL, 0.0]))
    pull = np.array([PULL, PULL, OFFSET_PULL])
    return Curves(
        answer=_answer(marks),
        fields={
            name: _curve(_fitted(points, common, pull), len(points))
            for name, points in by_field.items()
            if len(points) >= ROWS_MIN
        },
        other=_curve(common, len(marks)),
    )


def _answer(marks: Sequence[Mark]) -> Curve:
    """Return the whole answer's own curve, of its sum alone.

    The product of its fields' chances would be too low: errors come together.
    """
    points = [(log_odds(sum_log_p(mark.outcome.fields)), 0.0, mark.is_exact) for mark in marks]
    pull = np.array([COMMON_PULL, COMMON_PULL, 0.0])
    return _curve(_fitted(points, np.zeros(3), pull), len(points))


def _curve(weights: Vector, rows: int) -> Curve:
    own, least, offset = (round(float(weight), 6) for weight in weights)
    return Curve(own, least, offset, rows)


def _fitted(points: Sequence[tuple[float, float, bool]], centre: Vector, pull: Vector) -> Vector:
    """Return the weights (own, least, offset) of the points' most probable curve.

    Args:
        points: own and least log odds, and whether it was exact.
        centre: where the weights are pulled to.
        pull: how strongly, as the precision of a normal distribution.
    """
    table = np.array(points, dtype=np.float64)
    inputs: Matrix = np.column_stack([table[:, :2], np.ones(len(table))])
    # One right and one wrong row more, of no score: else all right, or all wrong, has no end.
    inputs = np.vstack([inputs, [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    exact: Vector = np.append(table[:, 2], [1.0, 0.0])
    is_free = np.ones(3, dtype=np.bool_)
    while True:
        weights = _ascended(inputs, exact, centre * is_free, pull, is_free)
        falls = (weights < 0) & np.array([True, True, False])
        if not falls.any():
            return weights
        is_free &= ~falls


def _ascended(
    inputs: Matrix, exact: Vector, centre: Vector, pull: Vector, is_free: NDArray[np.bool_]
) -> Vector:
    """Climb by Newton's steps, halved while they lead down; what is not free stays at 0."""
    weights = centre.copy()
    for _ in range(_STEPS_MAX):
        shares = 0.5 * (1 + np.tanh(inputs @ weights / 2))
        slope = inputs.T @ (exact - shares) - pull * (weights - centre)
        curvature = (inputs.T * (shares * (1 - shares))) @ inputs + np.diag(pull + 1e-9)
        step = np.zeros(3)
        step[is_free] = np.linalg.solve(curvature[np.ix_(is_free, is_free)], slope[is_free])
        height = _height(weights, inputs, exact, centre, pull)
        while _height(weights + step, inputs, exact, centre, pull) < height:
            step /= 2
            if np.abs(step).max() < 1e-9:
                return weights
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            return weights
    return weights


def _height(weights: Vector, inputs: Matrix, exact: Vector, centre: Vector, pull: Vector) -> float:
    """Return the log of the posterior, up to a constant."""
    z = inputs @ weights
    away = weights - centre
    return float(exact @ z - np.logaddexp(0, z).sum() - 0.5 * pull @ (away * away))
