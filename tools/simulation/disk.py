"""The disk under the spool: real SQLite on memory, which fills up, and is copied at a crash.

In:  a folder.     Out: connections that find no more pages; copies as a power cut leaves them.
"""

from __future__ import annotations

import random
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edged.spool.disk import LOG_PAGES, PAGE_BYTES

SPOOL = "spool.db"
LOG = "spool.db-wal"
# The log's index is never durable, and space that is kept is kept again.
_NOT_COPIED = ("spool.db-shm", "spool.reserve")
_PAGES = 1_000_000
# What SQLite says of a connection whose commits are synced later.
# Source: sqlite.org/pragma.html, synchronous.
_NORMAL = 1


class Disk:
    """Knows the newest connection to a spool.

    Attributes:
        is_full: no file can grow.
        grows_nothing: not even SQLite's log; else that can.
    """

    def __init__(self) -> None:
        self.is_full = self.grows_nothing = False
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice who opens a spool: `max_page_count` counts for one connection."""
        connect = sqlite3.connect

        def connected(path: Any, *args: Any, **named: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(path, *args, **named)
            if isinstance(path, Path) and path.name == SPOOL:
                self._connection = connection
                if self.is_full:
                    self._limit()
            return connection

        sqlite3.connect = connected  # type: ignore[assignment] # given back below
        try:
            yield
        finally:
            sqlite3.connect = connect

    def fill(self, *, grows_nothing: bool = False) -> None:
        """Let no file grow from now on; SQLite's log only with `grows_nothing`."""
        self.is_full, self.grows_nothing = True, grows_nothing
        self._limit()

    @contextmanager
    def in_force(self, folder: Path) -> Iterator[None]:
        """Let the kernel refuse what the disk does: each write behind the end of the log.

        Also what is written over in the longer file: as on a file system that copies on write.
        """
        if not self.grows_nothing:
            yield
            return
        path = folder / LOG
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size_bytes = path.stat().st_size if path.exists() else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @property
    def changes(self) -> tuple[int, int]:
        """Return what is another one after each commit."""
        try:
            changes = self._connection.total_changes if self._connection else 0
        except sqlite3.ProgrammingError:
            changes = 0  # its daemon has ended
        return id(self._connection), changes

    def free(self) -> None:
        """Let files grow again."""
        self.is_full = self.grows_nothing = False
        self._limit()

    def is_synced(self, folder: Path) -> bool:
        """Return whether a power cut would leave all of the log."""
        try:
            found = self._connection and self._connection.execute("PRAGMA synchronous").fetchone()
        except sqlite3.ProgrammingError:
            return True  # its daemon has ended, and folded the log in
        # A log of that length was folded into the file, and synced before.
        path = folder / LOG
        is_whole = path.exists() and path.stat().st_size >= LOG_PAGES * PAGE_BYTES
        return found != (_NORMAL,) or is_whole

    def _limit(self) -> None:
        pages = 1 if self.is_full else _PAGES
        if self._connection is not None:
            try:
                self._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
            except sqlite3.ProgrammingError:
                self._connection = None  # its daemon has ended


def copied(source: Path, target: Path) -> Path:
    """Copy the files of a state directory as they are now."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in _NOT_COPIED:
            shutil.copyfile(path, target / path.name)
    return target


def log_of(folder: Path) -> bytes:
    """Return the spool's log."""
    path = folder / LOG
    return path.read_bytes() if path.exists() else b""


def tear(folder: Path, before: bytes, chance: random.Random) -> None:
    """Leave the first part of what was logged after `before`, as a cut in its middle does."""
    after = log_of(folder)
    start = next(
        (at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]),
        min(len(before), len(after)),
    )
    if start < len(after):
        cut = chance.randint(start, len(after))
        (folder / LOG).write_bytes(after[:cut] + before[cut:])
