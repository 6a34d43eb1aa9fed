"""One line of the report: what was found, how bad it is, and the command that mends it.

An error is what keeps `edged run` from answering; a warning is what the owner should know. Both
carry what to do, by construction: there is no other way to make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says.

    Attributes:
        name: of the check, one word.
        says: a sentence without a full stop: what was found, and why that matters.
        mend: a command to run or a thing to do; None for what is well.
    """

    name: str
    level: Level
    says: str
    mend: str | None = None


def well(name: str, says: str) -> Finding:
    """Return what needs nothing."""
    return Finding(name, "ok", says)


def warning(name: str, says: str, mend: str) -> Finding:
    """Return what `edged run` can live with."""
    return Finding(name, "warning", says, mend)


def error(name: str, says: str, mend: str) -> Finding:
    """Return what `edged run` cannot work with."""
    return Finding(name, "error", says, mend)


def trouble(name: str, says: str, mend: str, *, is_needed: bool) -> Finding:
    """Return an error where the configured backend needs the thing, else a warning."""
    return error(name, says, mend) if is_needed else warning(name, says, mend)
