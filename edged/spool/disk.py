"""What a disk does to the spool: its errors by kind, and space that is kept for outcomes.

In:  errors of SQLite and of the file system.     Out: what they mean; a file that holds space.
Does not know: rows, the event loop.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from enum import Enum, StrEnum
from pathlib import Path

# SQLite's log is folded into the file, and used again from its start, at this length.
LOG_PAGES = 1000
PAGE_BYTES = 4096
# This share of `spool.bytes_max` is for outcomes; prompts are refused before they reach it.
OUTCOME_SHARE = 0.1
# With less than this beside the reserve a disk counts as full: some prompts would find no room.
ROOM_BYTES = 2**20
# Outcomes mostly fit where their prompts' texts stood: more than this would lie idle.
OUTCOME_BYTES_MAX = 64 * 2**20


class Sync(StrEnum):
    """When a commit is safe from a power cut; a crash of the daemon takes neither.

    Source: sqlite.org/pragma.html#pragma_synchronous, of a database with a log.
    """

    NOW = "FULL"  # before it returns
    LATER = "NORMAL"  # with the next commit that is synced now


class Fault(Enum):
    """What an error of the disk means for the spool."""

    FULL = "cannot be written until there is space"
    UNWRITABLE = "cannot be written as it is: read-only, or not ours"
    DAMAGED = "holds something that SQLite cannot read"


# Source: sqlite.org/rescode.html. The lowest byte is the kind, the others say more.
_KINDS = {
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_IOERR: Fault.FULL,  # a quota ends in it too, and the log's index on a full disk
    sqlite3.SQLITE_READONLY: Fault.UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: Fault.UNWRITABLE,
    sqlite3.SQLITE_PERM: Fault.UNWRITABLE,
    sqlite3.SQLITE_BUSY: Fault.UNWRITABLE,  # somebody else holds it open in a transaction
    sqlite3.SQLITE_CORRUPT: Fault.DAMAGED,
    sqlite3.SQLITE_NOTADB: Fault.DAMAGED,
}
_UNREADABLE = (
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
)
_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


def fault_of(error: sqlite3.Error | OSError) -> Fault | None:
    """Return what an error of the disk means; None for one that the disk has no part in."""
    if isinstance(error, OSError):
        return Fault.FULL if error.errno in _FULL_ERRNOS else Fault.UNWRITABLE
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    return Fault.DAMAGED if code in _UNREADABLE else _KINDS.get(code & 0xFF)


class Reserve:
    """A file of zeros whose space outcomes get when the disk is full.

    Args:
        path: where it lies, beside the spool.
        size_bytes: how much space it holds.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self.size_bytes = size_bytes
        self.is_whole = False

    def fill(self) -> bool:
        """Take the space, unless it is taken; return whether the disk has some room beside it.

        Without that room a reserve that was given up stays so: others may need the rest.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(file, 0, self.size_bytes + ROOM_BYTES)
            self.is_whole = True
        except OSError:
            return False
        finally:
            # The same size as before is what a whole reserve keeps; one that is not, goes.
            os.ftruncate(file, self.size_bytes if self.is_whole else 0)
            os.close(file)
            if not self.is_whole:
                self.give_up()
        return True

    def give_up(self) -> bool:
        """Give the space to the spool; return whether there was any."""
        self.is_whole = False
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def reserve_of(folder: Path, bytes_max: int) -> Reserve:
    """Return the reserve of a spool that may take `bytes_max`."""
    # Every outcome goes through the log first: without room for one no other room is of use.
    size_bytes = LOG_PAGES * PAGE_BYTES + outcome_bytes(bytes_max)
    return Reserve(folder / "spool.reserve", size_bytes)


def outcome_bytes(bytes_max: int) -> int:
    """Return how much of `spool.bytes_max` is kept for outcomes."""
    return min(int(bytes_max * OUTCOME_SHARE), OUTCOME_BYTES_MAX)


def prompt_bytes(bytes_max: int) -> int:
    """Return how much of `spool.bytes_max` prompts may fill."""
    return bytes_max - outcome_bytes(bytes_max)
