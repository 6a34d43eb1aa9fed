from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.engine.frames import Ready
from edged.errors import ConfigError
from edged.evaluation import Case, Report, read_cases, scored
from edged.templates import Template, load

TEMPLATES = load(Path(__file__).parent.parent / "edged/models/dock-mini/templates")
READY = Ready("dock-mini", "sha256:0", "sim", 512, 4, 1.0)
LABEL, DOCK = TEMPLATES["label-read"], TEMPLATES["dock-event"]


def case(template: Template, expected: Mapping[str, Any], which: str = "held_out") -> Case:
    return Case(which, template, "input", expected)


def scores(*pairs: tuple[Case, str | None]) -> Report:
    return scored(READY, [item for item, _ in pairs], [answer for _, answer in pairs])


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
    found = scores((case(LABEL, RIGHT), answer)).templates["label-read"]
    assert found["held_out"] == {"n": 1, "exact_match": exact}
    assert found["fields"] == {"dock": {"held_out": dock}, "pallet": {"held_out": pallet}}


def test_a_missing_field_is_not_the_answer_null() -> None:
    asked = case(LABEL, {"dock": None})
    missing = scores((asked, "{}")).templates["label-read"]
    said = scores((asked, '{"dock": null}')).templates["label-read"]
    assert (missing["fields"]["dock"]["held_out"], said["fields"]["dock"]["held_out"]) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "expected"), [('{"dock": true}', 1), ('{"dock": 1}', True), ('{"dock": 0}', False)]
)
def test_true_is_not_one(answer: str, expected: object) -> None:
    found = scores((case(LABEL, {"dock": expected}), answer)).templates["label-read"]
    assert found["held_out"]["exact_match"] == 0.0
    assert found["fields"]["dock"]["held_out"] == 0.0


def test_templates_and_sets_are_scored_apart() -> None:
    found = scores(
        (case(LABEL, {"a": 1}), '{"a": 1}'),
        (case(LABEL, {"a": 1}), '{"a": 2}'),
        (case(LABEL, {"a": 1}), None),
        (case(LABEL, {"a": 1}, "hand_written"), '{"a": 1}'),
        (case(DOCK, {"b": 1}), '{"b": 1}'),
    ).templates
    assert found == {
        "dock-event": {"fields": {"b": {"held_out": 1.0}}, "held_out": {"n": 1, "exact_match": 1}},
        "label-read": {
            "fields": {"a": {"held_out": 0.3333, "hand_written": 1.0}},
            "held_out": {"n": 3, "exact_match": 0.3333},
            "hand_written": {"n": 1, "exact_match": 1.0},
        },
    }


def test_a_machine_reads_model_and_templates() -> None:
    found = json.loads(scores((case(LABEL, {"a": 1}), '{"a": 1}')).as_json())
    assert set(found) == {"model", "templates"}
    assert found["model"] == {"name": "dock-mini", "digest": "sha256:0"}


def test_a_person_reads_every_share() -> None:
    text = scores((case(LABEL, {"ocr": 1}), '{"ocr": 1}')).as_text()
    for word in ("dock-mini", "label-read", "held_out", "1.000", "ocr"):
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
