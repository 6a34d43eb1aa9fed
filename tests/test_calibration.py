"""From scores to chances: the curves, what they count for, and the table's file."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.calibration import (
    Asked,
    Calibration,
    Curve,
    Curves,
    Table,
    TemplateCurves,
    confidence,
    load,
    log_odds,
    table_path,
    write,
)
from edged.engine.frames import FieldScore, Outcome, Sampling
from edged.errors import ConfigError
from edged.templates import load as load_templates

SHIPPED = Path(__file__).parent.parent / "edged/models/dock-mini/templates"
TEMPLATES = load_templates(SHIPPED)
LABEL = TEMPLATES["label-read"]
CURVE = Curve(own=0.8, least=0.2, offset=-0.5, rows=98)
FLAT = Curve(own=0.0, least=0.0, offset=0.0, rows=98)
CURVES = Curves(answer=FLAT, fields={"dock": CURVE}, other=FLAT)
MODEL = "sha256:" + "0" * 64

LOG_PS = st.floats(-1e6, 0.0) | st.floats(-1.0, 0.0) | st.just(-0.0)
SLOPES = st.floats(0, 1e6)
CURVE_SHAPES = st.builds(Curve, SLOPES, SLOPES, st.floats(-1e6, 1e6), st.integers(1, 10**6))


@given(CURVE_SHAPES, LOG_PS, LOG_PS)
def test_a_chance_is_never_0_nor_1(curve: Curve, own: float, least: float) -> None:
    nearest = 1 / (curve.rows + 2) - 1e-12
    assert 0 < nearest <= curve.probability(own, least) <= 1 - nearest < 1


@given(CURVE_SHAPES, LOG_PS, LOG_PS, LOG_PS)
def test_a_surer_model_never_has_a_lower_chance(
    curve: Curve, first: float, second: float, other: float
) -> None:
    low, high = sorted((first, second))
    assert curve.probability(low, other) <= curve.probability(high, other)
    assert curve.probability(other, low) <= curve.probability(other, high)


@given(st.floats(0.001, 0.999))
def test_log_odds_are_those_of_the_probability(share: float) -> None:
    assert log_odds(math.log(share)) == pytest.approx(math.log(share / (1 - share)))


DOCK = FieldScore("dock", -0.5, -0.3)
BAY = FieldScore("bay", -0.125, -0.125)
OUTCOME = Outcome("1", "schema", '{"dock":1,"bay":2}', confidence=0.7, fields=(DOCK, BAY))


def test_a_field_has_its_own_curve_or_the_common_one() -> None:
    found = confidence(OUTCOME, CURVES)
    assert found.is_calibrated
    assert found.fields == {"dock": CURVE.probability(-0.5, -0.3), "bay": 0.5}
    assert found.answer == 0.5


def test_without_curves_a_confidence_is_the_lowest_probability() -> None:
    found = confidence(OUTCOME, None)
    assert not found.is_calibrated
    assert found.answer == 0.7
    assert found.fields == {"dock": math.exp(-0.3), "bay": math.exp(-0.125)}


def test_what_the_closing_wrote_on_has_no_confidence() -> None:
    closed = replace(OUTCOME, finish="length", fields=(DOCK, replace(BAY, is_closed=True)))
    found = confidence(closed, CURVES)
    assert (found.answer, found.is_calibrated) == (0.0, False)
    assert found.fields == {"dock": math.exp(-0.3), "bay": 0.0}


def test_an_answer_that_is_no_object_has_no_fields_and_no_hit_rate() -> None:
    found = confidence(replace(OUTCOME, fields=()), CURVES)
    assert (found.answer, found.fields, found.is_calibrated) == (0.7, {}, False)


KNOWN = Calibration(MODEL, {LABEL.digest: {"json": CURVES}}, {LABEL.digest: LABEL.schema})
ASKED = Asked(MODEL, LABEL.digest, LABEL.schema, "json", Sampling())


def test_the_curves_count_for_what_they_were_fitted_on() -> None:
    assert KNOWN.curves(ASKED) is CURVES


@pytest.mark.parametrize(
    "asked",
    [
        replace(ASKED, model_digest="sha256:1"),
        replace(ASKED, template_digest="sha256:1"),
        replace(ASKED, template_digest=None),
        replace(ASKED, schema='{"type":"object"}'),
        replace(ASKED, wire="compact"),
        replace(ASKED, sampling=Sampling(temperature=0.5)),
        replace(ASKED, sampling=Sampling(repeat_penalty=1.2)),
    ],
    ids=["model", "template", "no template", "schema", "wire", "temperature", "penalty"],
)
def test_the_curves_count_for_nothing_else(asked: Asked) -> None:
    assert KNOWN.curves(asked) is None


def table(digest: str = LABEL.digest) -> Table:
    return Table(1, MODEL, {"label-read": TemplateCurves(digest, {"json": CURVES})})


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    write(table_path(folder), table())
    found = load(folder, TEMPLATES)
    assert found.curves(ASKED) == CURVES
    assert found.mismatch(MODEL) is None


def test_without_a_table_nothing_is_calibrated(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "templates"):
        found = load(folder, TEMPLATES)
        assert found.curves(ASKED) is None
        assert found.mismatch(MODEL) is None


def test_curves_of_another_template_file_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "templates"
    write(table_path(folder), table(digest="sha256:1"))
    with caplog.at_level(logging.WARNING):
        found = load(folder, TEMPLATES)
    assert found.curves(ASKED) is None
    assert "label-read" in caplog.text
    assert "--fit-confidence" in caplog.text


def test_another_model_than_the_table_s_is_told_with_what_to_do() -> None:
    told = KNOWN.mismatch("sha256:1")
    assert told is not None
    assert "--fit-confidence" in told


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table | {"version": 2},
        lambda table: {key: value for key, value in table.items() if key != "model"},
        lambda table: json.loads(json.dumps(table).replace("0.8", "-0.8")),
        lambda table: [table],
    ],
    ids=["version", "key", "falling", "list"],
)
def test_a_file_that_is_no_table_is_an_error_that_says_what_to_do(
    tmp_path: Path, change: object
) -> None:
    folder = tmp_path / "templates"
    write(table_path(folder), table())
    assert callable(change)
    content = change(json.loads(table_path(folder).read_text()))
    table_path(folder).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"calibration\.json.*remove it"):
        load(folder, TEMPLATES)


def test_a_table_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.templates_dir"):
        write(table_path(tmp_path / "missing" / "templates"), table())
