"""Asks the resident model what somebody knows the answers to, beside the rows or in their place.

In:  cases.     Out: marks, or why there are none.
Its ids are negative numbers: no row has one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from edged.dispatch import Dispatch
from edged.engine.client import EngineClient
from edged.engine.frames import Outcome, Work
from edged.errors import EngineLost
from edged.lease import look_s
from edged.marks import Case, Mark, marked, read_set
from edged.templates import Template

SET = "held_out"
# A budget may hold steps back, but not for so long while nothing else runs.
SILENT_S_MAX = 120.0
COMPLETE = ("stop", "schema", "length")


class Examination:
    """Puts cases to the engine.

    Args:
        engine: what is asked.
        dispatch: sends the limits in force, and passes on outcomes that are no row's.
        lease_s: how long the engine works on unheard.
    """

    def __init__(self, engine: EngineClient, dispatch: Dispatch, lease_s: float) -> None:
        self._engine = engine
        self._dispatch = dispatch
        self._every_s = look_s(lease_s)
        self._numbers = itertools.count(1)
        self._asked: dict[str, Case] = {}
        self._marks: list[Mark] = []
        self._woken = asyncio.Event()
        dispatch.strays = self._take

    async def marks(self, cases: Sequence[Case], together: int) -> list[Mark]:
        """Return the answers to all cases, so many of which are asked at a time.

        Raises:
            EngineLost: the engine ended, or has been silent for too long.
        """
        self._asked, self._marks = {}, []
        waiting, life = deque(cases), self._engine.life
        loop = asyncio.get_running_loop()
        heard, heard_s = 0, loop.time()
        while waiting or self._asked:
            self._dispatch.send_limits()
            while waiting and len(self._asked) < together:
                self._send(waiting.popleft())
            self._engine.end_hung()
            await self._rest()
            if self._engine.life != life:
                raise EngineLost(self._engine.state.problem or "the engine ended")
            if len(self._marks) > heard:
                heard, heard_s = len(self._marks), loop.time()
            elif loop.time() - heard_s > SILENT_S_MAX:
                raise EngineLost(f"no answer for {SILENT_S_MAX:.0f} s")
        return self._marks

    def _send(self, case: Case) -> None:
        id = f"-{next(self._numbers)}"
        self._asked[id] = case
        self._engine.expect(id)
        self._engine.send(work_of(id, case))

    def _take(self, outcome: Outcome) -> None:
        case = self._asked.pop(outcome.id, None)
        if case is not None:
            self._marks.append(marked(case, outcome))
            self._woken.set()

    async def _rest(self) -> None:
        self._woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every_s):
                await self._woken.wait()


def work_of(id: str, case: Case) -> Work:
    """Return what the engine is asked, behind everybody else."""
    template = case.template
    prompt = template.prompt(case.input)
    return Work(
        id,
        prompt,
        template.schema,
        max_tokens=template.max_tokens,
        priority=0,
        wire=template.wire,
        on_cap=template.on_cap,
    )


def example_of(template: Template) -> Case:
    """Return a template's own example; that of free text has no one right answer."""
    answer = {} if template.schema is None else json.loads(template.example_answer)
    expected = answer if isinstance(answer, dict) else {}
    return Case("example", template, template.example_input, expected, template.wire)


def held_out(folder: Path, installed: dict[str, Template], rows: int) -> Iterator[Case]:
    """Yield so many rows of each template, spread over its set.

    Raises:
        ConfigError: a set cannot be read.
    """
    for file in sorted((folder / "eval" / SET).glob("*.jsonl")):
        cases = list(read_set(SET, file, installed))
        stride = max(1, -(-len(cases) // rows))
        yield from cases[::stride]


def problem_of(marks: Sequence[Mark], exact_match_min: float) -> str | None:
    """Return why these answers are not good enough; None when they are."""
    failed = [mark for mark in marks if mark.outcome.finish not in COMPLETE]
    if failed:
        first = failed[0]
        return (
            f"{len(failed)} of {len(marks)} answers did not come; the first, of template "
            f"{first.case.template.name}: {first.outcome.detail or first.outcome.finish}"
        )
    counted = [mark for mark in marks if mark.case.set == SET]
    exact = sum(mark.is_exact for mark in counted)
    if counted and exact < exact_match_min * len(counted):
        return (
            f"{exact} of {len(counted)} answers of the evaluation set are exact, and its "
            f"exact_match_min = {exact_match_min:g}"
        )
    return None
