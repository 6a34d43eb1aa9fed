"""How much room the spool has for prompts: rows, and bytes of its file.

In:  an open connection, limits.     Out: whether a prompt may be inserted.
Blocking, for the spool's thread.
"""

from __future__ import annotations

import sqlite3

from edged.spool.disk import PAGE_BYTES

# What an insert may add beside its job: the other columns, and splits at each level of the table
# and its four indexes, two pages each in trees of six levels.
INSERT_BYTES = 128 * PAGE_BYTES
# Source: RFC 3629: bytes of a character in UTF-8, at most.
CHARACTER_BYTES = 4


class Room:
    """What prompts may take in one transaction.

    Each is reckoned with more than it can take, and the file's pages are counted where that leaves
    nothing: counting takes three statements, as much as the insert itself.

    Args:
        database: the connection.
        rows: prompts without an outcome, so far.
        rows_max: of them.
        bytes_max: of the file's pages that hold something.
    """

    def __init__(
        self, database: sqlite3.Connection, *, rows: int, rows_max: int, bytes_max: int
    ) -> None:
        self.rows = rows
        self.rows_max = rows_max
        self.bytes_max = bytes_max
        self._database = database
        self._left_bytes = 0

    @property
    def has_rows(self) -> bool:
        """Return whether there may be one more row."""
        return self.rows < self.rows_max

    @property
    def has_bytes(self) -> bool:
        """Return whether the file may hold one more."""
        if self._left_bytes <= 0:
            self._left_bytes = self.bytes_max - used_bytes(self._database)
        return self._left_bytes >= 0

    def take(self, job: str) -> None:
        """Reckon with a row, by the text of its job."""
        self.rows += 1
        self._left_bytes -= CHARACTER_BYTES * len(job) + INSERT_BYTES

    def free(self, rows: int) -> None:
        """Reckon without rows that have their outcome now."""
        self.rows -= rows


def used_bytes(database: sqlite3.Connection) -> int:
    """Return the bytes of the pages that hold something."""
    pages, size = _number(database, "page_count"), _number(database, "page_size")
    return (pages - free_pages(database)) * size


def free_pages(database: sqlite3.Connection) -> int:
    """Return how many pages of the file hold nothing."""
    return _number(database, "freelist_count")


def _number(database: sqlite3.Connection, pragma: str) -> int:
    (found,) = database.execute(f"PRAGMA {pragma}").fetchone()
    return int(found)
