"""The figures of the delivery as a table, for people and for docs/benchmarks.md.

In:  what was found.     Out: lines of Markdown, readable as they are.
Pure but for the machine's name.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence

from edged.bench.delivery.report import Found, Line, lines
from edged.bench.system import cpu_name
from edged.bench.table import grid


def table(found: Found) -> str:
    """Return all that was measured."""
    return "\n".join([judged(lines(found)), *([""] if found.notes else []), *found.notes])


def judged(lines: Sequence[Line]) -> str:
    """Return figures beside what they should reach."""
    head = ["figure", "median (least to most)", "reach", "met"]
    rows = [head, *([one.name, one.measured, one.reach, _met(one)] for one in lines)]
    machine = f"Machine: {cpu_name()}, {platform.platform()}."
    return "\n".join([machine, "", *grid(rows)])


def _met(line: Line) -> str:
    return "" if line.is_met is None else "yes" if line.is_met else "no"
