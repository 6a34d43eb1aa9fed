"""Rows whose right answer is known, and answers beside the right ones.

In:  files of rows, templates, outcomes of the engine.     Out: `Case`s and `Mark`s.
Pure but for reading. Does not know: who asks the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged import templates
from edged.engine.frames import Outcome, Wire
from edged.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a set: the input of a template, the one right answer, how it is to be written."""

    set: str
    template: templates.Template
    input: Any
    expected: Mapping[str, Any]
    wire: Wire = "json"


@dataclass(frozen=True, slots=True)
class Mark:
    """One answer beside the right one; `fields`: whether each expected one is exact."""

    case: Case
    outcome: Outcome
    is_exact: bool
    fields: Mapping[str, bool]


def read_set(which: str, file: Path, installed: Mapping[str, templates.Template]) -> Iterator[Case]:
    """Yield the rows of a file, whose name is that of their template.

    Raises:
        ConfigError: no template has this name, or a row cannot be read.
    """
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


def marked(case: Case, outcome: Outcome) -> Mark:
    """Return an answer beside the right one; an answer that is not complete is wrong everywhere."""
    given = json.loads(outcome.text) if outcome.finish == "schema" else {}
    fields = {
        field: field in given and _same(given[field], value)
        for field, value in case.expected.items()
    }
    return Mark(case, outcome, _same(given, case.expected), fields)


def _same(given: Any, expected: Any) -> bool:
    """Return whether two JSON values are equal; to Python, true is 1 as well."""
    if isinstance(given, dict) and isinstance(expected, dict):
        return given.keys() == expected.keys() and all(_same(given[k], expected[k]) for k in given)
    if isinstance(given, list) and isinstance(expected, list):
        return len(given) == len(expected) and all(map(_same, given, expected))
    return isinstance(given, bool) == isinstance(expected, bool) and bool(given == expected)
