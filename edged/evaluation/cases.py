"""Rows whose right answer is known, and what the real engine process answers to them.

In:  `eval/{held_out,hand_written}/TEMPLATE.jsonl` beside the model's templates, or another folder
of such files.     Out: `Mark`s: each answer beside the right one. The engine is one of its own, in
a temporary folder.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from edged import config, templates
from edged.engine.client import EngineClient, Lost
from edged.engine.frames import Limits, Outcome, Ready, Step, Wire, Work
from edged.engine.processes import OwnProcesses
from edged.errors import ConfigError, EngineUnusable
from edged.marks import Case as Case
from edged.marks import Mark as Mark
from edged.marks import marked as marked
from edged.marks import read_set
from edged.models.installed import templates_dir

SETS = ("held_out", "hand_written")
# While sets run the engine must not pause for want of a daemon's word.
LEASE_S = 3600.0

# Which wire forms are asked in; `both`: compact beside JSON where a template can have it.
Choice = Literal["json", "compact", "both"]


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
        for case in read_set(which, file, installed)
    ]
    if not cases:
        raise ConfigError(
            f"{folder}: no eval/{SETS[0]}/TEMPLATE.jsonl beside it, so there is nothing to score"
        )
    return cases


def read_rows(settings: config.Config, rows_dir: Path) -> list[Case]:
    """Return the rows of another folder for the configured model's templates.

    Raises:
        ConfigError: there are none, or one cannot be read.
    """
    folder = templates_dir(settings.model)
    installed = {} if folder is None else templates.load(folder)
    files = sorted(rows_dir.glob("*.jsonl"))
    cases = [case for file in files for case in read_set(rows_dir.name, file, installed)]
    if not cases:
        raise ConfigError(f"{rows_dir}: no TEMPLATE.jsonl with rows in it, so nothing to fit on")
    return cases


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


def answered(
    settings: config.Config, path: Path | None, cases: Sequence[Case]
) -> tuple[Ready, list[Mark]]:
    """Return the model that answered, and its answers in the cases' order.

    Args:
        settings: which model.
        path: the configuration's file, for the engine process.
        cases: what is asked.

    Raises:
        EngineUnusable: the model cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="edged-eval-") as folder:
        place = Path(folder)
        alone = config.placed(settings, place, place / "engine.sock")
        processes = OwnProcesses(alone, path, is_tied=True)
        client = EngineClient(alone, path, processes=processes)
        ready, outcomes = asyncio.run(_answered(client, cases))
    return ready, [marked(*pair) for pair in zip(cases, outcomes, strict=True)]


async def _answered(engine: EngineClient, cases: Sequence[Case]) -> tuple[Ready, list[Outcome]]:
    """Return how each case ended, in the cases' order."""
    life = asyncio.ensure_future(engine.run())
    try:
        ready = await _ready(engine)
        engine.send(Limits(ready.context_tokens, ready.sequences, LEASE_S))
        for number, case in enumerate(cases):
            engine.send(_work(number, case))
        outcomes = await _outcomes(engine, len(cases))
        matmuls = engine.state.npu_matmuls
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
    if ready.npu is not None:
        ready = replace(ready, npu=replace(ready.npu, matmuls=matmuls or 0))
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
