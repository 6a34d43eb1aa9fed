"""`edged eval`: the model's own sets, through the real engine process, scored.

In:  `eval/{held_out,hand_written}/TEMPLATE.jsonl` beside the model's templates.
Out: exact match per template and per field. The engine is one of its own, in a temporary folder.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged import config, templates
from edged.engine.client import EngineClient, Lost
from edged.engine.frames import Limits, Outcome, Ready, Step, Work
from edged.errors import ConfigError, EngineUnusable
from edged.models.installed import templates_dir

SETS = ("held_out", "hand_written")
# While sets run the engine must not pause for want of a daemon's word.
LEASE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a set: the input of a template and the one right answer."""

    set: str
    template: templates.Template
    input: Any
    expected: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of one model; shares are 0..1."""

    model: Mapping[str, str]
    templates: Mapping[str, Mapping[str, Any]]

    def as_json(self) -> str:
        """Return the report for a machine."""
        return json.dumps({"model": self.model, "templates": self.templates})

    def as_text(self) -> str:
        """Return the report for a person."""
        lines = [f"{self.model['name']}  {self.model['digest'][:23]}", ""]
        lines.append(f"{'template':20} {'set':14} {'n':>5} {'exact':>7}")
        for name, scores in self.templates.items():
            for which in SETS:
                if which in scores:
                    score = scores[which]
                    share = f"{score['exact_match']:7.3f}"
                    lines.append(f"{name:20} {which:14} {score['n']:5d} {share}")
            for field, shares in scores["fields"].items():
                words = ", ".join(f"{which} {share:.3f}" for which, share in shares.items())
                lines.append(f"    {field:30} {words}")
        return "\n".join(lines)


def evaluate(settings: config.Config, path: Path | None) -> Report:
    """Return the scores of the configured model on its sets.

    Raises:
        ConfigError: the model has no sets.
        EngineUnusable: the model cannot be loaded.
    """
    cases = read_cases(settings)
    with tempfile.TemporaryDirectory(prefix="edged-eval-") as folder:
        place = Path(folder)
        alone = config.placed(settings, place, place / "engine.sock")
        ready, answers = asyncio.run(_answered(EngineClient(alone, path), cases))
    return scored(ready, cases, answers)


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


def scored(ready: Ready, cases: Sequence[Case], answers: Sequence[str | None]) -> Report:
    """Return the shares of right answers.

    Args:
        ready: the model that answered.
        cases: what was asked.
        answers: JSON text for each case; None where there was no answer.
    """
    exact: dict[tuple[str, str], list[bool]] = defaultdict(list)
    fields: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for case, answer in zip(cases, answers, strict=True):
        given = {} if answer is None else json.loads(answer)
        exact[case.template.name, case.set].append(_same(given, case.expected))
        for field, value in case.expected.items():
            fields[case.template.name, field, case.set].append(
                field in given and _same(given[field], value)
            )
    table: dict[str, dict[str, Any]] = {}
    for (name, which), hits in sorted(exact.items()):
        scores = table.setdefault(name, {"fields": {}})
        scores[which] = {"n": len(hits), "exact_match": _share(hits)}
    for (name, field, which), hits in fields.items():
        table[name]["fields"].setdefault(field, {})[which] = _share(hits)
    return Report({"name": ready.name, "digest": ready.digest}, table)


def _same(given: Any, expected: Any) -> bool:
    """Return whether two JSON values are equal; to Python, true is 1 as well."""
    if isinstance(given, dict) and isinstance(expected, dict):
        return given.keys() == expected.keys() and all(_same(given[k], expected[k]) for k in given)
    if isinstance(given, list) and isinstance(expected, list):
        return len(given) == len(expected) and all(map(_same, given, expected))
    return isinstance(given, bool) == isinstance(expected, bool) and bool(given == expected)


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / len(hits), 4)


async def _answered(engine: EngineClient, cases: Sequence[Case]) -> tuple[Ready, list[str | None]]:
    """Return the engine's answers, in the cases' order."""
    life = asyncio.ensure_future(engine.run())
    try:
        ready = await _ready(engine)
        engine.send(Limits(ready.context_tokens, ready.sequences, LEASE_S))
        for number, case in enumerate(cases):
            engine.send(Work(str(number), case.template.prompt(case.input), case.template.schema))
        outcomes = await _outcomes(engine, len(cases))
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
    texts = [outcomes[str(number)] for number in range(len(cases))]
    return ready, [item.text if item.finish == "schema" else None for item in texts]


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
