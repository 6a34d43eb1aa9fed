from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.calibration import Calibration, Curve, Curves
from edged.engine.frames import FieldScore, Outcome, Ready, Wire
from edged.errors import ConfigError
from edged.evaluation.cases import Case, in_forms, marked, read_cases, read_rows
from edged.evaluation.run import ALL, Report, scored
from edged.templates import Template, load

TEMPLATES = load(Path(__file__).parent.parent / "edged/models/dock-mini/templates")
READY = Ready("dock-mini", "sha256:0", "sim", 512, 4, 1.0)
LABEL, DOCK = TEMPLATES["label-read"], TEMPLATES["dock-event"]


def case(template: Template, expected: Mapping[str, Any], which: str = "held_out") -> Case:
    return Case(which, template, "input", expected)


def outcome(answer: str | None) -> Outcome:
    if answer is None:
        return Outcome("0", "failed", text='{"dock":', reason="cap")
    return Outcome("0", "schema", text=answer)


def scores(*pairs: tuple[Case, str | None]) -> Report:
    return scored(READY, [marked(asked, outcome(answer)) for asked, answer in pairs])


def forms_of(report: Report, template: str) -> dict[str, Any]:
    """Return the scores of a template by form, without tokens: they have tests of their own."""
    return {
        wire: {key: without_tokens(value) for key, value in scores.items()}
        for wire, scores in report.templates[template].items()
    }


def without_tokens(value: Mapping[str, Any]) -> dict[str, Any]:
    tokens = ("output_tokens", "forced_share", "kv_tokens")
    return {key: inner for key, inner in value.items() if key not in tokens}


RIGHT = {"dock": 4, "pallet": "a"}


@pytest.mark.parametrize(
    ("answer", "exact", "dock", "pallet"),
    [
        ('{"dock": 4, "pallet": "a"}', 1.0, 1.0, 1.0),
        ('{"pallet":"a","dock":4}', 1.0, 1.0, 1.0),
        ('{"dock": 5, "pallet": "a"}', 0.0, 0.0, 1.0),
        ('{"dock": 4}', 0.0, 1.0, 0.0),
        ('{"dock": 4, "pallet": "a", "more": 1}', 0.0, 1.0, 1.0),
        ('{"dock": "4", "pallet": "A"}', 0.0, 0.0, 0.0),
        ("{}", 0.0, 0.0, 0.0),
        (None, 0.0, 0.0, 0.0),
    ],
)
def test_an_answer_is_right_as_a_whole_and_field_by_field(
    answer: str | None, exact: float, dock: float, pallet: float
) -> None:
    found = forms_of(scores((case(LABEL, RIGHT), answer)), "label-read")["json"]
    assert found["held_out"] == {"n": 1, "exact_match": exact}
    assert found["fields"] == {"dock": {"held_out": dock}, "pallet": {"held_out": pallet}}


def test_a_missing_field_is_not_the_answer_null() -> None:
    asked = case(LABEL, {"dock": None})
    missing = scores((asked, "{}")).templates["label-read"]["json"]
    said = scores((asked, '{"dock": null}')).templates["label-read"]["json"]
    assert (missing["fields"]["dock"]["held_out"], said["fields"]["dock"]["held_out"]) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "expected"), [('{"dock": true}', 1), ('{"dock": 1}', True), ('{"dock": 0}', False)]
)
def test_true_is_not_one(answer: str, expected: object) -> None:
    found = scores((case(LABEL, {"dock": expected}), answer)).templates["label-read"]["json"]
    assert found["held_out"]["exact_match"] == 0.0
    assert found["fields"]["dock"]["held_out"] == 0.0


def test_templates_and_sets_are_scored_apart() -> None:
    found = scores(
        (case(LABEL, {"a": 1}), '{"a": 1}'),
        (case(LABEL, {"a": 1}), '{"a": 2}'),
        (case(LABEL, {"a": 1}), None),
        (case(LABEL, {"a": 1}, "hand_written"), '{"a": 1}'),
        (case(DOCK, {"b": 1}), '{"b": 1}'),
    )
    assert forms_of(found, "dock-event")["json"] == {
        "fields": {"b": {"held_out": 1.0}},
        "held_out": {"n": 1, "exact_match": 1},
    }
    assert forms_of(found, "label-read")["json"] == {
        "fields": {"a": {"held_out": 0.3333, "hand_written": 1.0}},
        "held_out": {"n": 3, "exact_match": 0.3333},
        "hand_written": {"n": 1, "exact_match": 1.0},
    }


def test_the_two_forms_of_a_template_are_scored_apart_json_first() -> None:
    asked = case(LABEL, {"a": 1})
    found = scores((replace(asked, wire="compact"), '{"a": 2}'), (asked, '{"a": 1}'))
    assert forms_of(found, "label-read") == {
        "json": {"fields": {"a": {"held_out": 1}}, "held_out": {"n": 1, "exact_match": 1}},
        "compact": {"fields": {"a": {"held_out": 0}}, "held_out": {"n": 1, "exact_match": 0}},
    }
    assert list(found.templates["label-read"]) == ["json", "compact"]


def test_tokens_are_means_over_the_answers_and_forced_ones_a_share_of_them() -> None:
    first = Outcome(
        "0", "schema", "{}", prompt_tokens=40, cached_tokens=19, output_tokens=30, forced_tokens=18
    )
    second = Outcome("1", "failed", prompt_tokens=30, output_tokens=10, forced_tokens=2)
    found = scored(READY, [marked(case(LABEL, {}), one) for one in (first, second)])
    tokens = found.templates["label-read"]["json"]["held_out"]
    assert (tokens["output_tokens"], tokens["forced_share"]) == (20.0, 0.5)
    assert tokens["kv_tokens"] == ((40 - 19 + 30) + (30 + 10)) / 2


FREE = replace(LABEL, name="free", schema=None)


def test_both_forms_are_asked_where_a_template_can_have_them() -> None:
    found = in_forms([case(LABEL, {}), case(FREE, {})], "both")
    asked = [(item.template.name, item.wire) for item in found]
    assert asked == [("label-read", "json"), ("label-read", "compact"), ("free", "json")]


def test_one_form_alone_can_be_asked_for() -> None:
    cases = [case(LABEL, {}), case(FREE, {})]
    assert [item.wire for item in in_forms(cases, "json")] == ["json", "json"]
    assert [item.template.name for item in in_forms(cases, "compact")] == ["label-read"]


def test_a_form_that_no_template_can_have_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="use --wire json"):
        in_forms([case(FREE, {})], "compact")


def test_a_machine_reads_model_and_templates() -> None:
    found = json.loads(scores((case(LABEL, {"a": 1}), '{"a": 1}')).as_json())
    assert set(found) == {"model", "templates", "confidence"}
    assert found["model"] == {"name": "dock-mini", "digest": "sha256:0"}


def test_a_person_reads_every_share() -> None:
    text = scores((case(LABEL, {"ocr": 1}), '{"ocr": 1}')).as_text()
    for word in ("dock-mini", "label-read", "json", "held_out", "1.000", "ocr"):
        assert word in text


def with_scores(answer: str, **log_ps: float) -> Outcome:
    fields = tuple(FieldScore(name, log_p, log_p) for name, log_p in log_ps.items())
    return Outcome("0", "schema", answer, confidence=0.5, fields=fields)


SURE_AND_RIGHT = marked(case(LABEL, {"a": 1, "b": 2}), with_scores('{"a":1,"b":2}', a=-0.1, b=-0.1))
UNSURE_AND_WRONG = marked(case(LABEL, {"a": 1, "b": 2}), with_scores('{"a":1,"b":3}', a=-0.1, b=-3))


def test_confidences_are_judged_by_field_and_by_answer() -> None:
    found = scored(READY, [SURE_AND_RIGHT, UNSURE_AND_WRONG]).confidence
    shares = found["label-read"]["json"]["held_out"]
    assert shares["calibrated"] is False
    assert (shares["fields"]["n"], shares["fields"]["auroc"]) == (4, 1.0)
    assert (shares["fields"]["error_at_100"], shares["fields"]["error_at_80"]) == (0.25, 0.0625)
    assert (shares["answers"]["n"], shares["answers"]["auroc"]) == (2, 0.5)
    assert found[ALL] == {"json": {"held_out": shares}}


CURVE = Curve(own=1.0, least=0.0, offset=0.0, rows=98)


def calibration(model_digest: str) -> Calibration:
    forms: dict[str, dict[Wire, Curves]] = {LABEL.digest: {"json": Curves(CURVE, {}, CURVE)}}
    return Calibration(model_digest, forms, {LABEL.digest: LABEL.schema})


@pytest.mark.parametrize(("digest", "counts"), [(READY.digest, True), ("sha256:1", False)])
def test_the_table_of_the_model_that_answers_makes_hit_rates(digest: str, counts: bool) -> None:
    report = scored(READY, [SURE_AND_RIGHT, UNSURE_AND_WRONG], calibration(digest))
    found = report.confidence["label-read"]["json"]["held_out"]
    assert found["calibrated"] is counts
    assert found["answers"]["auroc"] == (1.0 if counts else 0.5)


def test_an_answer_that_failed_has_no_confidence_to_judge() -> None:
    (found,) = scores((case(LABEL, {"a": 1}), None)).confidence["label-read"]["json"].values()
    assert (found["fields"], found["answers"]) == (None, None)


def test_a_person_reads_how_good_the_confidences_are() -> None:
    text = scored(READY, [SURE_AND_RIGHT, UNSURE_AND_WRONG]).as_text()
    for word in ("AUROC", "error at 80 %", "at 100 %", "ECE", "0.062", "not calibrated", ALL):
        assert word in text


def test_the_shipped_sets_are_read_with_their_templates() -> None:
    cases = read_cases(config.Config())
    assert {item.set for item in cases} == {"held_out", "hand_written"}
    assert {item.template.name for item in cases} == set(TEMPLATES)
    hand_written = [item for item in cases if item.set == "hand_written"]
    assert len(hand_written) >= 120


def model_with_sets(folder: Path, rows: str) -> config.Config:
    templates = folder / "templates"
    sets = folder / "eval" / "held_out"
    templates.mkdir()
    sets.mkdir(parents=True)
    (templates / "stock.toml").write_text(
        'name = "stock"\nroot = "r"\npayload = "{text}"\n[variables.text]\ndescription = "t"\n'
        '[example]\ninput = "a"\nanswer = "b"\n'
    )
    (sets / "stock.jsonl").write_text(rows)
    return config.Config(model=config.Model(path=folder / "m.gguf", templates_dir=templates))


def test_a_set_of_ones_own_is_read(tmp_path: Path) -> None:
    settings = model_with_sets(tmp_path, '{"input": "x", "expected": {"a": 1}}\n')
    (found,) = read_cases(settings)
    assert (found.input, found.expected, found.template.name) == ("x", {"a": 1}, "stock")


def test_rows_of_another_folder_are_read_by_their_template_s_name(tmp_path: Path) -> None:
    settings = model_with_sets(tmp_path, "")
    own = tmp_path / "own"
    own.mkdir()
    (own / "stock.jsonl").write_text('{"input": "x", "expected": {"a": 1}}\n')
    (found,) = read_rows(settings, own)
    assert (found.template.name, found.expected) == ("stock", {"a": 1})


def test_a_folder_without_rows_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rows: no TEMPLATE\.jsonl"):
        read_rows(model_with_sets(tmp_path, ""), tmp_path / "rows")


def test_a_model_without_sets_is_an_error_that_says_where_they_belong(tmp_path: Path) -> None:
    settings = model_with_sets(tmp_path, "")
    with pytest.raises(ConfigError, match=r"eval/held_out/TEMPLATE\.jsonl"):
        read_cases(settings)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('{"input": "x", "expected": {}}\n{"input"\n', ["stock.jsonl", "line 2"]),
        ('{"input": "x"}\n', ["stock.jsonl", "line 1", "expected"]),
        ("5\n", ["stock.jsonl", "line 1"]),
    ],
)
def test_a_row_that_cannot_be_read_is_an_error_by_file_and_line(
    tmp_path: Path, rows: str, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_cases(model_with_sets(tmp_path, rows))
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_set_without_its_template_is_an_error_by_its_file(tmp_path: Path) -> None:
    settings = model_with_sets(tmp_path, '{"input": "x", "expected": {"a": 1}}\n')
    (tmp_path / "eval/held_out/other.jsonl").write_text('{"input": "x", "expected": {}}\n')
    with pytest.raises(ConfigError, match=r"other\.jsonl.*no template"):
        read_cases(settings)
