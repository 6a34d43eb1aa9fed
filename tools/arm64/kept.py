"""What an earlier run of the same commit found, so that a run that was cut short can go on.

In: steps, the commit.  Out: a file, and the steps again. Another commit begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tools.arm64.summary import Step


def keep(path: Path, commit: str, steps: Sequence[Step]) -> None:
    """Write which steps were good."""
    good = [asdict(step) for step in steps if step.is_good]
    path.write_text(json.dumps({"commit": commit, "steps": good}, indent=1), encoding="utf-8")


def kept(path: Path, commit: str) -> dict[str, Step]:
    """Return the good steps of an earlier run by their names; none of another commit."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if told["commit"] != commit:
        return {}
    return {one["name"]: Step(**{**one, "is_kept": True}) for one in told["steps"]}
