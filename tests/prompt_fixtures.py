"""Prompts for tests of the spool, the scheduler and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from edged.contract import Destination
from edged.engine.frames import Prompt
from edged.spool.rows import Candidate, Job, Row, Settlement, State

DONE = Settlement("done", 200, b'{"event":"done"}')


def row(serial: int = 1, **more: Any) -> Row:
    """Return an unfinished row; `more` replaces what it says."""
    plain = Row(
        serial=serial,
        client="c1",
        id=f"p{serial}",
        state=State.QUEUED,
        destination=Destination(f"res/c1/p{serial}"),
        accepted_s=0.0,
        deadline_s=300.0,
        deadline_certain=True,
        priority=5,
        stream=False,
        receipt=False,
        replace=None,
        attempts=0,
        restarts=0,
    )
    return replace(plain, **more)


def candidate(id: str = "p1", text: str = "hi", **more: Any) -> Candidate:
    """Return a prompt that admission would take; the text alone is its fingerprint."""
    plain = Candidate(
        client="c1",
        id=id,
        board_given=False,
        fingerprint=sha256(text.encode()).hexdigest(),
        packet=1,
        duplicate=False,
        job=Job(Prompt(payload=text)),
        destination=Destination(f"res/c1/{id}"),
        ttl_s=300.0,
        priority=5,
        receipt=False,
        stream=False,
        replace=None,
    )
    return replace(plain, **more)


class LookedAt(Sequence[Row]):
    """Rows, and how many looks were taken at them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.looks = 0

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return self._rows[place]

    def __len__(self) -> int:
        self.looks += 1
        return len(self._rows)
