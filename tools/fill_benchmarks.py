"""Put what a benchmark found into docs/benchmarks.md, between its two marks.

    python -m tools.fill_benchmarks REPORT.json             of `edged bench engine --json`
    python -m tools.fill_benchmarks --delivery TABLE.md     of `edged bench delivery --table`

Run from the repository root.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edged.bench.table import table

PAGE = Path("docs/benchmarks.md")
ENGINE, DELIVERY = "engine", "delivery"


def main(argv: list[str] | None = None) -> int:
    """Fill the page; return 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("report", type=Path, metavar="REPORT")
    parser.add_argument("--delivery", action="store_true", help="REPORT is a table of delivery")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args(argv)
    try:
        report = given.report.read_text(encoding="utf-8")
        results = report.strip() if given.delivery else table(json.loads(report))
        section = DELIVERY if given.delivery else ENGINE
        text = filled(given.page.read_text(encoding="utf-8"), results, section)
    except (OSError, ValueError) as error:
        print(f"fill_benchmarks: {error}", file=sys.stderr)
        return 1
    given.page.write_text(text, encoding="utf-8")
    return 0


def filled(page: str, results: str, section: str = ENGINE) -> str:
    """Return the page with these results of a section in place of the old ones.

    Raises:
        ValueError: the page has not exactly one place for them.
    """
    first, last = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, begin, rest = page.partition(first)
    old, end, behind = rest.partition(last)
    if not begin or not end or first in old + behind or last in behind:
        raise ValueError(f"the page must have {first} and then {last}, once each")
    return f"{before}{begin}\n{results}\n{end}{behind}"


if __name__ == "__main__":
    sys.exit(main())
