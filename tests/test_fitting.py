"""Curves from rows: they find the truth, rise, and do not trust few rows."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.calibration import Curves, confidence
from edged.engine.frames import FieldScore, Outcome, Wire
from edged.evaluation.cases import Case, Mark
from edged.evaluation.fitting import ROWS_MIN, cross_validated, fit
from edged.evaluation.reliability import Judged, calibration_error
from edged.templates import load

TEMPLATES = load(Path(__file__).parent.parent / "edged/models/dock-mini/templates")
LABEL = TEMPLATES["label-read"]


def mark(fields: dict[str, tuple[float, bool]], wire: Wire = "json") -> Mark:
    """Return an answer with the log probability of each field, and whether it is exact."""
    scores = tuple(FieldScore(name, log_p, log_p) for name, (log_p, _) in fields.items())
    exact = {name: is_exact for name, (_, is_exact) in fields.items()}
    case = Case("own", LABEL, "x", {}, wire)
    return Mark(case, Outcome("0", "schema", "{}", fields=scores), all(exact.values()), exact)


def curves(marks: list[Mark], wire: Wire = "json") -> Curves:
    return fit("sha256:0", marks).templates["label-read"].forms[wire]


def drawn(count: int, seed: int, overconfidence: float) -> list[Mark]:
    """Return answers of two independent fields whose odds are those of a too sure model."""
    rng = random.Random(seed)

    def field() -> tuple[float, bool]:
        odds = rng.uniform(-1.0, 6.0)
        share = 1 / (1 + math.exp(-odds / overconfidence))
        return -math.log1p(math.exp(-odds)), rng.random() < share

    return [mark({"dock": field(), "bay": field()}) for _ in range(count)]


def test_the_chances_of_a_too_sure_model_become_hit_rates() -> None:
    found = curves(drawn(1000, seed=1, overconfidence=2.0))
    fresh = drawn(4000, seed=2, overconfidence=2.0)
    for name in ("dock", "bay"):
        judged = [
            Judged(confidence(one.outcome, found).fields[name], one.fields[name]) for one in fresh
        ]
        raw = [
            Judged(confidence(one.outcome, None).fields[name], one.fields[name]) for one in fresh
        ]
        assert calibration_error(judged) < 0.035 < calibration_error(raw)


def test_the_whole_answer_has_a_curve_of_its_own() -> None:
    found = curves(drawn(1000, seed=1, overconfidence=2.0))
    fresh = drawn(4000, seed=2, overconfidence=2.0)
    told = [confidence(one.outcome, found).answer for one in fresh]
    judged = [Judged(share or 0.0, one.is_exact) for share, one in zip(told, fresh, strict=True)]
    assert calibration_error(judged) < 0.035


def test_errors_that_come_together_do_not_make_the_whole_look_worse() -> None:
    rng = random.Random(3)
    marks = []
    for _ in range(1000):
        is_exact = rng.random() < 0.8
        marks.append(mark(dict.fromkeys("abcde", (-0.05, is_exact))))
    found = confidence(marks[0].outcome, curves(marks))
    assert found.answer == pytest.approx(0.8, abs=0.04)
    assert math.prod(found.fields.values()) < 0.5


@given(st.lists(st.tuples(st.floats(-20, 0), st.booleans()), min_size=ROWS_MIN, max_size=60))
def test_every_curve_rises_whatever_the_rows_say(points: list[tuple[float, bool]]) -> None:
    found = curves([mark({"dock": point}) for point in points])
    for curve in (found.answer, found.other, *found.fields.values()):
        assert curve.own >= 0
        assert curve.least >= 0
        assert all(map(math.isfinite, (curve.own, curve.least, curve.offset)))


@pytest.mark.parametrize(("is_exact", "bound"), [(True, 0.9), (False, 0.1)])
def test_a_field_that_was_always_right_or_wrong_is_near_certain_and_not_more(
    is_exact: bool, bound: float
) -> None:
    marks = [mark({"dock": (-0.01, is_exact)}) for _ in range(100)]
    share = confidence(marks[0].outcome, curves(marks)).fields["dock"]
    assert (bound < share < 1) if is_exact else (0 < share < bound)


def test_a_field_with_few_rows_takes_the_common_curve() -> None:
    marks = drawn(100, seed=1, overconfidence=1.0)
    rare = [mark({"dock": (-0.1, True), "rare": (-0.1, False)}) for _ in range(ROWS_MIN - 1)]
    found = curves(marks + rare)
    assert set(found.fields) == {"dock", "bay"}


def test_a_form_with_few_rows_has_no_curves() -> None:
    json_rows = drawn(ROWS_MIN, seed=1, overconfidence=1.0)
    few = [mark({"dock": (-0.1, True)}, "compact") for _ in range(ROWS_MIN - 1)]
    forms = fit("sha256:0", json_rows + few).templates["label-read"].forms
    assert set(forms) == {"json"}


def test_answers_that_failed_are_left_out() -> None:
    failed = Mark(Case("own", LABEL, "x", {}), Outcome("0", "failed"), False, {"dock": False})
    assert fit("sha256:0", [failed] * 100).templates == {}


def test_cross_validation_judges_each_answer_by_the_others() -> None:
    marks = [mark({"dock": (-0.1, True)}) for _ in range(99)]
    lonely = mark({"dock": (-0.1, False)})
    found = cross_validated("sha256:0", [*marks, lonely])
    assert len(found) == 100
    (of_lonely,) = [told for one, told in found if one is lonely]
    assert of_lonely.fields["dock"] > max(t.fields["dock"] for o, t in found[:20] if o.is_exact)
