"""Put the report of `edged bench engine --json` into docs/benchmarks.md, between its two marks.

    python -m tools.fill_benchmarks REPORT.json

Run from the repository root.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edged.bench.table import table

PAGE = Path("docs/benchmarks.md")
BEGIN, END = "<!-- engine: begin -->", "<!-- engine: end -->"


def main(argv: list[str] | None = None) -> int:
    """Fill the page; return 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("report", type=Path, metavar="REPORT")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args(argv)
    try:
        report = json.loads(given.report.read_text(encoding="utf-8"))
        text = filled(given.page.read_text(encoding="utf-8"), table(report))
    except (OSError, ValueError) as error:
        print(f"fill_benchmarks: {error}", file=sys.stderr)
        return 1
    given.page.write_text(text, encoding="utf-8")
    return 0


def filled(page: str, results: str) -> str:
    """Return the page with these results in place of the old ones.

    Raises:
        ValueError: the page has not exactly one place for them.
    """
    before, begin, rest = page.partition(BEGIN)
    old, end, behind = rest.partition(END)
    if not begin or not end or BEGIN in old + behind or END in behind:
        raise ValueError(f"the page must have {BEGIN} and then {END}, once each")
    return f"{before}{begin}\n{results}\n{end}{behind}"


if __name__ == "__main__":
    sys.exit(main())
