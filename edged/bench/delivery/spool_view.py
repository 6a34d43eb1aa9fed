"""What the rows of a daemon's spool tell of it, while it runs; and rows put there before it does.

In:  a state directory.     Out: counts, times of the spool's clock, sizes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged import config
from edged.answers import Answers
from edged.contract import Destination
from edged.engine.frames import Prompt
from edged.spool.queue import Spool
from edged.spool.rows import Candidate, Fresh, Job, Row, Settlement

# Rows of one commit while a spool is filled.
GROUP_ROWS = 2000
# As an outcome of the shipped templates.
OUTCOME_BYTES = 1000
CLIENTS = 50


@dataclass(frozen=True, slots=True)
class Arrival:
    """Prompts that were accepted together: when, s of the spool's clock, and how many."""

    at_s: float
    rows: int


def rate(arrivals: Sequence[Arrival]) -> float:
    """Return rows per second, from the first group's time to the last one's.

    A group's time is when its transaction began: the last group's rows came after that.

    Raises:
        ValueError: there were fewer than two groups.
    """
    if len(arrivals) < 2:
        raise ValueError("the prompts came as one group: too few to tell a rate")
    rows = sum(one.rows for one in arrivals[:-1])
    return rows / (arrivals[-1].at_s - arrivals[0].at_s)


def arrivals(folder: Path, client: str) -> list[Arrival]:
    """Return the groups of a client's prompts that were accepted, in order."""
    found = _asked(
        folder,
        "SELECT accepted_s, count(*) FROM prompt WHERE client = ? GROUP BY 1 ORDER BY 1",
        client,
    )
    return [Arrival(at_s, rows) for at_s, rows in found]


def accepted(folder: Path, client: str) -> int:
    """Return how many prompts of a client there are, whatever became of them."""
    return int(_asked(folder, "SELECT count(*) FROM prompt WHERE client = ?", client)[0][0])


def rows(folder: Path) -> int:
    """Return how many rows there are."""
    return int(_asked(folder, "SELECT count(*) FROM prompt")[0][0])


def delivered(folder: Path) -> int:
    """Return how many outcomes the broker has."""
    found = _asked(folder, "SELECT count(*) FROM prompt WHERE state = 'delivered'")
    return int(found[0][0])


def settled_s(folder: Path) -> list[float]:
    """Return when each prompt that has its outcome got it, s of the spool's clock, in order."""
    found = _asked(folder, "SELECT settled_s FROM prompt WHERE settled_s > 0 ORDER BY settled_s")
    return [at_s for (at_s,) in found]


def row_bytes(folder: Path) -> float:
    """Return the mean size of a prompt in the spool, its texts and numbers, of those that wait."""
    texts = ["client", "id", "fingerprint", "topic", "correlation", "job", "state", "replace_key"]
    lengths = " + ".join(f"ifnull(length(CAST({name} AS BLOB)), 0)" for name in texts)
    # Two times of 8 bytes; the other numbers take one byte each with their header's.
    found = _asked(folder, f"SELECT avg({lengths}) + 16 + 24 FROM prompt WHERE job IS NOT NULL")
    return float(found[0][0])


def is_log_empty(folder: Path) -> bool:
    """Return whether all that was written stands in the file itself."""
    log = folder / "spool.db-wal"
    return not log.exists() or log.stat().st_size == 0


def _asked(folder: Path, statement: str, *values: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "spool.db", timeout=30)) as database:
        return database.execute(statement, values).fetchall()


def fill(folder: Path, *, waiting: int, delivered: int) -> None:
    """Put rows into the spool of a daemon that does not run.

    Args:
        folder: the state directory.
        waiting: prompts without an outcome, of `CLIENTS` clients.
        delivered: prompts whose outcome the broker has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_fill(folder, waiting, delivered))


async def _fill(folder: Path, waiting: int, delivered: int) -> None:
    limits = config.Spool(rows_max=1_000_000, bytes_max=2**34)
    spool = Spool(folder, limits, Answers("bench").superseded)
    await spool.open()
    try:
        for numbers in _groups(range(delivered)):
            rows = await _taken(spool, numbers, "old")
            await spool.settle({row.serial: OUTCOME for row in rows})
            await spool.delivered({row.serial: True for row in rows})
        for numbers in _groups(range(waiting)):
            await _taken(spool, numbers, "new")
    finally:
        await spool.close()


OUTCOME = Settlement("done", 200, b"x" * OUTCOME_BYTES)


def _groups(numbers: range) -> Iterable[range]:
    return (numbers[first : first + GROUP_ROWS] for first in range(0, len(numbers), GROUP_ROWS))


async def _taken(spool: Spool, numbers: range, prefix: str) -> list[Row]:
    verdicts = await spool.accept([_candidate(f"{prefix}-{number}", number) for number in numbers])
    return [verdict.row for verdict in verdicts if isinstance(verdict, Fresh)]


def _candidate(id: str, number: int) -> Candidate:
    client = f"client-{number % CLIENTS}"
    return Candidate(
        client=client,
        id=id,
        board_given=False,
        fingerprint=f"{number:064x}",
        packet=number % 65_535 + 1,
        duplicate=False,
        job=Job(Prompt(payload="x" * 600), prompt_tokens=100, answer_tokens=60),
        destination=Destination(f"edged/v1/dock/bench/res/{client}/{id}"),
        ttl_s=86_400.0,
        priority=5,
        receipt=False,
        stream=False,
        replace=None,
    )
