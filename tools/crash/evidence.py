"""What the outside client cannot hear: rows on the board's disk, inferences at the engine's door.

In:  a state directory, the lines of `engine_tap`.     Out: missing rows, late inferences.
Read-only, and apart from edged's own code for the spool.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tools.crash.engine_tap import boot_id


@dataclass(frozen=True, slots=True)
class Watched:
    """What the tap saw of this boot of the machine.

    Attributes:
        inferences: prompts handed to the engine.
        late: serials of rows that were handed over after their outcome was committed.
    """

    inferences: int
    late: tuple[int, ...]


def missing_rows(spool: Path, client: str, accepted: Collection[str]) -> list[str]:
    """Return which accepted ids of a client have no row, neither unfinished nor with an outcome."""
    with closing(_opened(spool)) as database:
        found = database.execute("SELECT id FROM prompt WHERE client = ?", (client,))
        rows = {id for (id,) in found}
    return sorted(set(accepted) - rows)


def _opened(spool: Path) -> sqlite3.Connection:
    """Return a connection that leaves the log as a killed daemon left it."""
    return sqlite3.connect(f"file:{spool}?mode=ro", uri=True)


def damage(spool: Path) -> str:
    """Return what SQLite finds wrong with a spool; "" if nothing."""
    with closing(_opened(spool)) as database:
        (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    return "" if said == "ok" else str(said)


def watched(spool: Path, lines: Path) -> Watched:
    """Return which prompts were handed to the engine, and which of them too late.

    A row's `settled_s` is read from the spool's clock just before the commit. That clock runs with
    CLOCK_BOOTTIME, so within a boot the difference of the two is one number.
    """
    boot = boot_id()
    with closing(_opened(spool)) as database:
        kept = database.execute("SELECT boot_id, spool_s - boottime_s FROM clock").fetchone()
        rows = dict(database.execute("SELECT serial, settled_s FROM prompt"))
    seen = map(json.loads, lines.read_text().splitlines())
    of_boot = [line for line in seen if line["boot"] == boot == kept[0]]
    late = [
        int(line["serial"])
        for line in of_boot
        if is_late(line["boottime_s"] + kept[1], rows.get(int(line["serial"])))
    ]
    return Watched(len(of_boot), tuple(late))


def is_late(handed_s: float, settled_s: float | None) -> bool:
    """Return whether a prompt was handed over when its row had an outcome; spool seconds."""
    return settled_s is not None and handed_s > settled_s
