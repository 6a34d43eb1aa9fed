"""`edged eval`: the model's own sets, through the real engine process, scored.

In:  `eval/{held_out,hand_written}/TEMPLATE.jsonl` beside the model's templates.
Out: exact match per template and per field, and tokens, for each form that an answer is written
in. The engine is one of its own, in a temporary folder.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from edged import config, templates
from edged.engine.client import EngineClient, Lost
from edged.engine.frames import Limits, Outcome, Ready, Step, Wire, Work
from edged.errors import ConfigError, EngineUnusable
from edged.models.installed import templates_dir

SETS = ("held_out", "hand_written")
# While sets run the engine must not pause for want of a daemon's word.
LEASE_S = 3600.0

# Which wire forms are scored; `both`: compact beside JSON where a template can have it.
Choice = Literal["json", "compact", "both"]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a set: the input of a template, the one right answer, how it is to be written."""

    set: str
    template: templates.Template
    input: Any
    expected: Mapping[str, Any]
    wire: Wire = "json"


@dataclass(frozen=True, slots=True)
class _Mark:
    """One answer beside the right one."""

    outcome: Outcome
    is_exact: bool
    fields: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of one model; shares are 0..1.

    Attributes:
        templates: name -> wire form -> set -> scores; and `fields` -> field -> set -> share.
    """

    model: Mapping[str, str]
    templates: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def as_json(self) -> str:
        """Return the report for a machine."""
        return json.dumps({"model": self.model, "templates": self.templates})

    def as_text(self) -> str:
        """Return the report for a person."""
        lines = [f"{self.model['name']}  {self.model['digest'][:23]}", "", _HEAD]
        for name, forms in self.templates.items():
            for wire, scores in forms.items():
                lines += _lines(name, wire, scores)
        return "\n".join(lines)


_HEAD = (
    f"{'template':20} {'wire':8} {'set':14} {'n':>5} {'exact':>7}"
    f" {'answer tokens':>14} {'forced':>7} {'KV tokens':>10}"
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


def evaluate(settings: config.Config, path: Path | None, choice: Choice) -> Report:
    """Return the scores of the configured model on its sets.

    Raises:
        ConfigError: the model has no sets, or no template with the form asked for.
        EngineUnusable: the model cannot be loaded.
    """
    cases = in_forms(read_cases(settings), choice)
    with tempfile.TemporaryDirectory(prefix="edged-eval-") as folder:
        place = Path(folder)
        alone = config.placed(settings, place, place / "engine.sock")
        ready, outcomes = asyncio.run(_answered(EngineClient(alone, path), cases))
    return scored(ready, cases, outcomes)


def read_cases(settings: config.Config) -> list[Case]:
    """Return every row of the configured model's sets.

    Raises:
        ConfigError: there are none.
    """
    folder = templates_dir(settings.model)
    installed = {} if folder is None else templates.load(folder)
    cases = [
        case
        for which in SETS
        for file in sorted((folder or Path()).parent.glob(f"eval/{which}/*.jsonl"))
        for case in _read_set(which, file, installed)
    ]
    if not cases:
        raise ConfigError(
            f"{folder}: no eval/{SETS[0]}/TEMPLATE.jsonl beside it, so there is nothing to score"
        )
    return cases


def _read_set(
    which: str, file: Path, installed: Mapping[str, templates.Template]
) -> Iterator[Case]:
    template = installed.get(file.stem)
    if template is None:
        raise ConfigError(f"{file}: no template has this name; there are: {', '.join(installed)}")
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            yield Case(which, template, row["input"], row["expected"])
        except (ValueError, KeyError, TypeError) as error:
            rule = 'must be {"input": ..., "expected": {...}}'
            raise ConfigError(f"{file}: line {number}: {rule}: {error!r}") from error


def in_forms(cases: Sequence[Case], choice: Choice) -> list[Case]:
    """Return each case once for each form that is asked for and that its template can have.

    Raises:
        ConfigError: none is left.
    """
    wanted: tuple[Wire, ...] = ("json", "compact") if choice == "both" else (choice,)
    forms = {case.template.name: case.template.wire_forms for case in cases}
    found = [
        replace(case, wire=wire)
        for case in cases
        for wire in wanted
        if wire in forms[case.template.name]
    ]
    if not found:
        raise ConfigError(
            "--wire compact: no template with a set has a schema of fixed keys; use --wire json"
        )
    return found


def scored(ready: Ready, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Report:
    """Return the shares of right answers, and what they took.

    Args:
        ready: the model that answered.
        cases: what was asked.
        outcomes: what came, for each case.
    """
    marks: dict[str, dict[str, dict[str, list[_Mark]]]] = {}
    for case, outcome in sorted(zip(cases, outcomes, strict=True), key=_place):
        forms = marks.setdefault(case.template.name, {})
        forms.setdefault(case.wire, {}).setdefault(case.set, []).append(_marked(case, outcome))
    table = {
        name: {wire: _scores(sets) for wire, sets in forms.items()} for name, forms in marks.items()
    }
    return Report({"name": ready.name, "digest": ready.digest}, table)


def _place(pair: tuple[Case, Outcome]) -> tuple[str, bool]:
    """Return the order of the report: by template, JSON first."""
    case, _ = pair
    return case.template.name, case.wire == "compact"


def _marked(case: Case, outcome: Outcome) -> _Mark:
    given = json.loads(outcome.text) if outcome.finish == "schema" else {}
    fields = {
        field: field in given and _same(given[field], value)
        for field, value in case.expected.items()
    }
    return _Mark(outcome, _same(given, case.expected), fields)


def _scores(sets: Mapping[str, Sequence[_Mark]]) -> dict[str, Any]:
    """Return the scores of one template in one form."""
    fields: dict[str, dict[str, float]] = {}
    for which, marks in sets.items():
        for field in {name: None for mark in marks for name in mark.fields}:
            hits = [mark.fields[field] for mark in marks if field in mark.fields]
            fields.setdefault(field, {})[which] = _share(hits)
    return {"fields": fields} | {which: _score(marks) for which, marks in sets.items()}


def _score(marks: Sequence[_Mark]) -> dict[str, Any]:
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


def _same(given: Any, expected: Any) -> bool:
    """Return whether two JSON values are equal; to Python, true is 1 as well."""
    if isinstance(given, dict) and isinstance(expected, dict):
        return given.keys() == expected.keys() and all(_same(given[k], expected[k]) for k in given)
    if isinstance(given, list) and isinstance(expected, list):
        return len(given) == len(expected) and all(map(_same, given, expected))
    return isinstance(given, bool) == isinstance(expected, bool) and bool(given == expected)


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / len(hits), 4)


async def _answered(engine: EngineClient, cases: Sequence[Case]) -> tuple[Ready, list[Outcome]]:
    """Return how each case ended, in the cases' order."""
    life = asyncio.ensure_future(engine.run())
    try:
        ready = await _ready(engine)
        engine.send(Limits(ready.context_tokens, ready.sequences, LEASE_S))
        for number, case in enumerate(cases):
            engine.send(_work(number, case))
        outcomes = await _outcomes(engine, len(cases))
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
    return ready, [outcomes[str(number)] for number in range(len(cases))]


def _work(number: int, case: Case) -> Work:
    template = case.template
    return Work(str(number), template.prompt(case.input), template.schema, wire=case.wire)


async def _ready(engine: EngineClient) -> Ready:
    while True:
        match await engine.events.get():
            case Ready() as ready:
                return ready
            case Lost(problem):
                raise EngineUnusable(problem)


async def _outcomes(engine: EngineClient, count: int) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    while len(outcomes) < count:
        match await engine.events.get():
            case Step() as step:
                outcomes |= {outcome.id: outcome for outcome in step.outcomes}
            case Lost(problem):
                raise EngineUnusable(problem)
    return outcomes
