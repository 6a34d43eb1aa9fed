"""Writes rows of the calibration split, for `edged eval --fit-confidence`."""

from __future__ import annotations

import json
from pathlib import Path

from .dataset import TEMPLATES, rows
from .phrase import Split


def write(n_rows: int, seed: int, directory: Path) -> None:
    """Write `n_rows` rows of every template to `directory/TEMPLATE.jsonl`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in TEMPLATES:
        lines = [
            json.dumps({"input": row.inputs, "expected": row.expected}, ensure_ascii=False)
            for row in rows(name, Split.CALIBRATION, n_rows, seed)
        ]
        (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
