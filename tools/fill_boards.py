"""Put a board's figures into docs/boards.md: those of `edged bench engine --json`, and a meter's.

    python -m tools.fill_boards REPORT.json --board "ROCK 5B" --system "Armbian, vendor 6.1.115"

Run from the repository root. A line of the same board, system and model is replaced.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path("docs/boards.md")
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
UNKNOWN = "-"


def main(argv: list[str] | None = None) -> int:
    """Fill the page; return 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("report", type=Path, metavar="REPORT")
    parser.add_argument("--board", required=True, help="its name")
    parser.add_argument("--system", required=True, help="its system and kernel")
    parser.add_argument("--idle-w", type=float, help="of the idle board, by its meter")
    parser.add_argument("--joules-per-answer", type=float, help="by its meter, above idle")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args(argv)
    try:
        report = json.loads(given.report.read_text(encoding="utf-8"))
        cells = [given.board, given.system, *figures(report)]
        cells += [shown(given.idle_w), shown(given.joules_per_answer)]
        text = filled(given.page.read_text(encoding="utf-8"), cells)
    except (OSError, ValueError, KeyError) as error:
        print(f"fill_boards: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    given.page.write_text(text, encoding="utf-8")
    return 0


def figures(report: Mapping[str, Any]) -> list[str]:
    """Return model, prefill and rates, as the table shows them.

    Raises:
        KeyError: this is no report of `edged bench engine`.
    """
    rates = [report["workloads"][name].get("edged") for name in ("single", "json-warm")]
    prefill = f"{report['inside']['prefill_tokens_per_s']:.0f}"
    return [report["model"]["name"], prefill, *map(shown, rates)]


def shown(figure: float | None) -> str:
    """Return a figure with two decimals, or that it is not known."""
    return UNKNOWN if figure is None else f"{figure:.2f}"


def filled(page: str, cells: list[str]) -> str:
    """Return the page with one more line in its table, or with that line anew.

    Raises:
        ValueError: the page has not exactly one table for it, or a cell would break the table.
    """
    if any("|" in cell or "\n" in cell for cell in cells):
        raise ValueError("a name must not hold | or a line break")
    before, begin, rest = page.partition(BEGIN)
    table, end, behind = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in behind:
        raise ValueError(f"the page must have {BEGIN.strip()} and then {END.strip()}, once each")
    key = f"| {' | '.join(cells[:3])} |"
    head, rule, *lines = table.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(key)]
    line = f"| {' | '.join(cells)} |\n"
    return "".join([before, begin, head, rule, *sorted([*kept, line]), end, behind])


if __name__ == "__main__":
    sys.exit(main())
