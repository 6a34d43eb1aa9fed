"""`edged eval`: the model's own sets, through the real engine process, scored.

In:  marked answers (see cases), the curves of their confidences.
Out: exact match per template and per field, tokens, and how good the confidences are, for each form
that an answer is written in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edged import calibration, config, templates
from edged.calibration import Asked, Calibration, Confidence, confidence
from edged.engine.frames import Ready, Sampling
from edged.errors import ConfigError
from edged.evaluation.cases import SETS, Choice, Mark, answered, in_forms, read_cases, read_rows
from edged.evaluation.fitting import FOLDS, ROWS_MIN, cross_validated, fit
from edged.evaluation.reliability import BINS, Judged, reliability
from edged.models.installed import templates_dir

# What all templates are together, in the report; no template has a space in its name.
ALL = "all templates"


@dataclass(frozen=True, slots=True)
class _Believed:
    """A mark, and how sure one was told to be of it."""

    mark: Mark
    confidence: Confidence


# Template -> wire form -> set -> what was answered.
_Groups = Mapping[str, Mapping[str, Mapping[str, Sequence[_Believed]]]]


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of one model; shares are 0..1.

    Attributes:
        model: name, digest and, where an NPU computed part of it, that one's device and products.
        templates: name -> wire form -> set -> scores; and `fields` -> field -> set -> share.
        confidence: name -> wire form -> set -> `fields` and `answers` -> reliability; and
            `calibrated`. All templates together are a name of their own.
    """

    model: Mapping[str, Any]
    templates: Mapping[str, Mapping[str, Mapping[str, Any]]]
    confidence: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def as_json(self) -> str:
        """Return the report for a machine."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """Return the report for a person."""
        lines = [f"{self.model['name']}  {self.model['digest'][:23]}", "", _HEAD]
        if "npu" in self.model:
            npu = self.model["npu"]
            lines.insert(1, f"{npu['device']} executed {npu['matmuls']} products of matrices")
        for name, forms in self.templates.items():
            for wire, scores in forms.items():
                lines += _lines(name, wire, scores)
        return "\n".join([*lines, "", *_confidence_table(self.confidence)])


_HEAD = (
    f"{'template':20} {'wire':8} {'set':14} {'n':>5} {'exact':>7}"
    f" {'answer tokens':>14} {'forced':>7} {'KV tokens':>10}"
)
_CONFIDENCE_HEAD = (
    f"confidence; ECE: expected calibration error, {BINS} bins of equal count\n"
    f"{'template':20} {'wire':8} {'set':14} {'of':8} {'n':>5} {'AUROC':>7}"
    f" {'error at 80 %':>14} {'at 100 %':>9} {'ECE':>7}"
)


def _lines(name: str, wire: str, scores: Mapping[str, Any]) -> Iterator[str]:
    for which in SETS:
        if which in scores:
            score = scores[which]
            yield (
                f"{name:20} {wire:8} {which:14} {score['n']:5d} {score['exact_match']:7.3f}"
                f" {score['output_tokens']:14.1f} {score['forced_share']:7.3f}"
                f" {score['kv_tokens']:10.1f}"
            )
    for field, shares in scores["fields"].items():
        words = ", ".join(f"{which} {share:.3f}" for which, share in shares.items())
        yield f"    {field:30} {words}"


def _confidence_table(confidences: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield _CONFIDENCE_HEAD
    for name, forms in confidences.items():
        for wire, sets in forms.items():
            yield from _confidence_lines(name, wire, sets)


def _confidence_lines(name: str, wire: str, sets: Mapping[str, Any]) -> Iterator[str]:
    for which, found in sets.items():
        mark = "" if found["calibrated"] else "  not calibrated"
        for of in ("fields", "answers"):
            if (table := found[of]) is not None:
                area = "-" if table["auroc"] is None else f"{table['auroc']:.3f}"
                yield (
                    f"{name:20} {wire:8} {which:14} {of:8} {table['n']:5d} {area:>7}"
                    f" {table['error_at_80']:14.3f} {table['error_at_100']:9.3f}"
                    f" {table['calibration_error']:7.3f}{mark}"
                )


def evaluate(settings: config.Config, path: Path | None, choice: Choice) -> Report:
    """Return the scores of the configured model on its sets.

    Raises:
        ConfigError: the model has no sets, or no template with the form asked for; or its
            calibration table cannot be read.
        EngineUnusable: the model cannot be loaded.
    """
    folder = templates_dir(settings.model)
    installed = {} if folder is None else templates.load(folder)
    curves = calibration.load(folder, installed)
    ready, marks = answered(settings, path, in_forms(read_cases(settings), choice))
    return scored(ready, marks, curves)


def fit_confidence(
    settings: config.Config, path: Path | None, rows_dir: Path, choice: Choice
) -> str:
    """Fit the confidences of the configured model on rows, and write the table.

    Returns:
        How good they are on those rows by cross-validation, and where the table is; for a person.

    Raises:
        ConfigError: there are no such rows, or too few; or the table cannot be written.
        EngineUnusable: the model cannot be loaded.
    """
    folder = templates_dir(settings.model)
    if folder is None:
        raise ConfigError("a confidence is calibrated by template: give model.templates_dir")
    ready, marks = answered(settings, path, in_forms(read_rows(settings, rows_dir), choice))
    table = fit(ready.digest, marks)
    if not any(curves.forms for curves in table.templates.values()):
        raise ConfigError(f"{rows_dir}: at least {ROWS_MIN} rows of a template are needed")
    target = calibration.table_path(folder)
    calibration.write(target, table)
    believed = [_Believed(*pair) for pair in cross_validated(ready.digest, marks)]
    lines = _confidence_table(_confidences(_grouped(believed)))
    return "\n".join([f"{FOLDS}-fold cross-validation", *lines, "", f"written: {target}"])


def scored(ready: Ready, marks: Iterable[Mark], curves: Calibration | None = None) -> Report:
    """Return the shares of right answers, what they took, and how good their confidences are.

    Args:
        ready: the model that answered.
        marks: what was asked, and what came.
        curves: what makes hit rates of the scores; None: nothing does.
    """
    known = curves or Calibration()
    groups = _grouped(_believed(ready, mark, known) for mark in marks)
    model = {"name": ready.name, "digest": ready.digest, **_npu(ready)}
    table = {
        name: {wire: _scores(sets) for wire, sets in forms.items()}
        for name, forms in groups.items()
    }
    return Report(model, table, _confidences(groups))


def _npu(ready: Ready) -> dict[str, Any]:
    return {} if ready.npu is None else {"npu": asdict(ready.npu)}


def _grouped(believed: Iterable[_Believed]) -> _Groups:
    """Return them by template, JSON first, by wire form and by set."""
    groups: dict[str, dict[str, dict[str, list[_Believed]]]] = {}
    for one in sorted(believed, key=lambda one: _place(one.mark)):
        case = one.mark.case
        sets = groups.setdefault(case.template.name, {}).setdefault(case.wire, {})
        sets.setdefault(case.set, []).append(one)
    return groups


def _place(mark: Mark) -> tuple[str, bool]:
    """Return the order of the report: by template, JSON first."""
    return mark.case.template.name, mark.case.wire == "compact"


def _believed(ready: Ready, mark: Mark, known: Calibration) -> _Believed:
    template, wire = mark.case.template, mark.case.wire
    asked = Asked(ready.digest, template.digest, template.schema, wire, Sampling())
    return _Believed(mark, confidence(mark.outcome, known.curves(asked)))


def _scores(sets: Mapping[str, Sequence[_Believed]]) -> dict[str, Any]:
    """Return the scores of one template in one form."""
    fields: dict[str, dict[str, float]] = {}
    marked = {which: [one.mark for one in found] for which, found in sets.items()}
    for which, marks in marked.items():
        for field in {name: None for mark in marks for name in mark.fields}:
            hits = [mark.fields[field] for mark in marks if field in mark.fields]
            fields.setdefault(field, {})[which] = _share(hits)
    return {"fields": fields} | {which: _score(marks) for which, marks in marked.items()}


def _score(marks: Sequence[Mark]) -> dict[str, Any]:
    """Return the scores of one set; token counts are means over its answers.

    `kv_tokens` are those that enter the KV cache: of the prompt what the template's root did not
    hold already, and the answer. The answer's end is counted too, though nothing follows it.
    """
    outcomes = [mark.outcome for mark in marks]
    written = sum(item.output_tokens for item in outcomes)
    forced = sum(item.forced_tokens for item in outcomes)
    entered = written + sum(item.prompt_tokens - item.cached_tokens for item in outcomes)
    return {
        "n": len(marks),
        "exact_match": _share([mark.is_exact for mark in marks]),
        "output_tokens": round(written / len(marks), 2),
        "forced_share": round(forced / written, 4) if written else 0.0,
        "kv_tokens": round(entered / len(marks), 2),
    }


def _confidences(groups: _Groups) -> dict[str, Any]:
    """Return how good the confidences are, by template and for all of them together."""
    together: dict[str, dict[str, list[_Believed]]] = {}
    for forms in groups.values():
        for wire, sets in forms.items():
            for which, found in sets.items():
                together.setdefault(wire, {}).setdefault(which, []).extend(found)
    return {
        name: {
            wire: {which: _confidence(found) for which, found in sets.items()}
            for wire, sets in forms.items()
        }
        for name, forms in {**groups, ALL: together}.items()
    }


def _confidence(believed: Sequence[_Believed]) -> dict[str, Any]:
    """Return how good the confidences of one set are, of its fields and of its whole answers.

    An answer that failed is told without one.
    """
    believed = [one for one in believed if one.mark.outcome.finish == "schema"]
    fields = [
        Judged(confidence, one.mark.fields.get(name, False))
        for one in believed
        for name, confidence in one.confidence.fields.items()
    ]
    answers = [
        Judged(one.confidence.answer, one.mark.is_exact)
        for one in believed
        if one.confidence.answer is not None
    ]
    return {
        "calibrated": all(one.confidence.is_calibrated for one in believed),
        "fields": _rounded(fields),
        "answers": _rounded(answers),
    }


def _rounded(judged: Sequence[Judged]) -> dict[str, Any] | None:
    found = reliability(judged)
    if found is None:
        return None
    table = asdict(found)
    return {key: value if value is None else round(value, 4) for key, value in table.items()}


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / len(hits), 4)
