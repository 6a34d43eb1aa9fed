"""What the spool's file says, read from outside: by a connection of its own, which only reads.

In:  a folder.     Out: rows as they are committed, the spool's time.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tools.simulation.clocks import Machine
from tools.simulation.disk import SPOOL


class View:
    """The spool of the daemon that lives now.

    Attributes:
        lives: how many daemons had it so far.
    """

    def __init__(self, machine: Machine) -> None:
        self.lives = 0
        self._machine = machine
        self._path: Path | None = None
        self._spool: sqlite3.Connection | None = None

    def look_at(self, folder: Path) -> None:
        """The spool is in this folder from now on."""
        if self._spool is not None:
            self._spool.close()
        self._spool, self._path = None, folder / SPOOL

    def now_s(self) -> float | None:
        """Return the spool's time: what it was at the last commit, and what has passed since."""
        found = self.row("SELECT spool_s, boot_id, boottime_s FROM clock")
        if found is None or found[1] != self._machine.instant().boot_id:
            return None
        return float(found[0] + self._machine.boottime_s() - found[2])

    def row(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """Return the first row that a statement finds."""
        return next(iter(self.rows(statement, *values)), None)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows that a statement finds; none where there is no spool yet."""
        if self._spool is None:
            if self._path is None or not self._path.exists():
                return []
            self._spool = sqlite3.connect(str(self._path), isolation_level=None)
            self._spool.execute("PRAGMA query_only = 1")
        return self._spool.execute(statement, values).fetchall()
