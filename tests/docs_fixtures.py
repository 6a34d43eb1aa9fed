"""The pages as tests read them: their sections, tables and code blocks.

In: a page.  Out: rows by their columns' names, texts.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README, CONTRACT = ROOT / "README.md", ROOT / "docs" / "contract.md"

Row = dict[str, str]


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its level or above."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,3}} |\Z)", text, re.M | re.S)
    assert found is not None, f"{page.name} has no heading {heading!r}"
    return found[2]


def table(page: Path, heading: str, first: str | None = None) -> list[Row]:
    """Return the rows of the table under a heading whose first column is `first`, or of any."""
    every = re.findall(r"^\|.+?(?=\n(?!\|))", section(page, heading), re.M | re.S)
    for text in every:
        names, _, *rows = [cells(line) for line in text.splitlines()]
        if first in (None, names[0]):
            return [dict(zip(names, row, strict=True)) for row in rows]
    raise AssertionError(f"{page.name}, {heading}: no such table")


def cells(line: str) -> list[str]:
    """Return the cells of a table's line."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def code(cell: str) -> str:
    """Return what stands between the cell's first code marks."""
    found = re.match(r"`([^`]+)`", cell)
    assert found is not None, cell
    return found[1]


def blocks(page: Path, language: str) -> list[str]:
    """Return the page's code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
