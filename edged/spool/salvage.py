"""A damaged spool: what SQLite can still read moves to a new file, the damaged one is kept.

In:  the spool's path.     Out: an open connection to a sound file, and a sentence in the log.
The steps survive a crash between any two of them, and a disk that is full:

1. `spool.db` is renamed to `spool.db.salvage`, its log with it: from here it is only read.
2. Rows go to `spool.db.new`, which is begun again after a crash.
3. `spool.db.new` is renamed to `spool.db`.
4. `spool.db.salvage` is renamed to `spool.db.damaged-1`, or the next number that is free.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edged.durable import sync_folder
from edged.errors import SpoolDamaged
from edged.spool.rows import State
from edged.spool.schema import HEAD, TEXTS, open_database

log = logging.getLogger(__name__)

# Serials below and above the newest row found that are looked up one by one: what a scan skips.
LOOKUPS = 100_000
# A scan gives up after so many ranges that cannot be read: two for each page of 400 MB, and an end
# for a highest serial that is damage itself.
FAILURES_MAX = 200_000
ROWS_PER_COMMIT = 256
# Larger serials are damage; after 2^63 - 1 SQLite would take no row.
SERIAL_MAX = 2**53
# The second one where SQLite's words on the damage are none.
_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
_COMPANIONS = ("-wal", "-journal")
_NAMES = f"{HEAD}, {TEXTS}".split(", ")

Found = dict[str, Any]


@dataclass(slots=True)
class _Count:
    """What became of the rows that were found."""

    kept: int = 0
    textless: int = 0
    unfit: int = 0


def open_sound(path: Path) -> sqlite3.Connection:
    """Return a connection to the spool, of which a damaged part has been set aside.

    Raises:
        sqlite3.Error, OSError: it cannot be opened or written now.
        ConfigError: it was written by a newer edged, or by something else.
    """
    _salvage(path)
    try:
        return open_database(path)
    except SpoolDamaged as damage:
        log.error("%s; what can be read of it is saved now", damage)
    path.rename(_beside(path, ".salvage"))
    _salvage(path)
    return open_database(path)


def set_aside(folder: Path) -> list[str]:
    """Return the names of the damaged spools that wait for somebody to look at them."""
    return sorted(path.name for path in folder.glob("spool.db.damaged-*") if _is_number(path))


def _is_number(path: Path) -> bool:
    return path.name.rpartition("-")[2].isdigit()


def _salvage(path: Path) -> None:
    """Do what is left to do of steps 1 to 4, if anything is."""
    damaged = _beside(path, ".salvage")
    if not damaged.exists():
        return
    found = "its rows were saved before"
    if not path.exists():
        for companion in _COMPANIONS:
            _move(_beside(path, companion), _beside(damaged, companion))
        _beside(path, "-shm").unlink(missing_ok=True)
        sync_folder(path.parent)
        found = _rebuilt(damaged, path)
    kept = _next_free(path)
    for companion in _COMPANIONS:
        _move(_beside(damaged, companion), _beside(kept, companion))
    _beside(damaged, "-shm").unlink(missing_ok=True)
    damaged.rename(kept)
    sync_folder(path.parent)
    log.error("%s: %s; the damaged file is kept as %s", path, found, kept)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _move(path: Path, to: Path) -> None:
    if path.exists():
        path.rename(to)


def _next_free(path: Path) -> Path:
    numbers = (int(name.rpartition("-")[2]) for name in set_aside(path.parent))
    return _beside(path, f".damaged-{max(numbers, default=0) + 1}")


def _rebuilt(damaged: Path, path: Path) -> str:
    """Make `path` of what can be read of `damaged`; return what that was, in words."""
    new = _beside(path, ".new")
    for ending in ("", "-shm", *_COMPANIONS):
        _beside(new, ending).unlink(missing_ok=True)
    with closing(open_database(new)) as target, closing(_open_to_read(damaged)) as source:
        count = _copied(source, target)
        # By itself closing folds the log in too, and says nothing if the disk is full.
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    new.rename(path)
    sync_folder(path.parent)
    unfit = f", {count.unfit} not kept since they make no sense" if count.unfit else ""
    return f"{count.kept} rows saved, {count.textless} of them without their text{unfit}"


def _open_to_read(damaged: Path) -> sqlite3.Connection:
    # SQLite would delete the log of an empty file, even here: then there is nothing to read.
    name = f"file:{quote(str(damaged))}?mode=ro" if damaged.stat().st_size else ":memory:"
    source = sqlite3.connect(name, uri=True, isolation_level=None)
    source.text_factory = lambda raw: raw.decode("utf-8", "replace")
    # Tables can be read though the definition of an index cannot.
    source.execute("PRAGMA writable_schema=ON")
    return source


def _copied(source: sqlite3.Connection, target: sqlite3.Connection) -> _Count:
    count = _Count()
    highest = _highest(source)
    target.execute("BEGIN")
    for number, found in enumerate(_rows(source, highest), start=1):
        _keep(target, found, count)
        if number % ROWS_PER_COMMIT == 0:
            target.execute("COMMIT")
            target.execute("BEGIN")
    _copy_clock(source, target)
    _copy_boot(source, target)
    _copy_note(source, target)
    _copy_sequence(target, highest)
    target.execute("COMMIT")
    return count


def _keep(target: sqlite3.Connection, found: Found, count: _Count) -> None:
    row = _mended(found)
    if row is None:
        count.unfit += 1
        return
    marks = ", ".join("?" * len(_NAMES))
    try:
        target.execute(
            f"INSERT INTO prompt ({', '.join(_NAMES)}) VALUES ({marks})",
            [row[name] for name in _NAMES],
        )
    except sqlite3.IntegrityError:
        count.unfit += 1
        return
    count.kept += 1
    count.textless += row["job"] == ""


def _mended(found: Found) -> Found | None:
    """Return a row as the schema wants it; None for a delivered one whose outcome is lost.

    A prompt whose text or outcome is lost is kept without: it will fail, and its device hears it.
    """
    state, outcome = found["state"], found["outcome"]
    if state == State.DELIVERED and outcome is None:
        return None
    if outcome is not None:
        return found | {
            "state": State.DELIVERED if state == State.DELIVERED else State.SETTLED,
            "job": None,
        }
    nothing = dict.fromkeys(("event", "status", "outcome", "settled_s"))
    return (
        found
        | nothing
        | {
            "state": State.RUNNING if state == State.RUNNING else State.QUEUED,
            "job": found["job"] if isinstance(found["job"], str) else "",
            "unclaimed": 0,
        }
    )


def _highest(source: sqlite3.Connection) -> int:
    """Return the highest serial that anything in the file tells of."""
    told = [
        _one(source, "SELECT seq FROM sqlite_sequence WHERE name = 'prompt'"),
        _one(source, "SELECT max(serial) FROM prompt"),
    ]
    told += [
        _one(
            source, "SELECT max(serial) FROM prompt INDEXED BY prompt_state WHERE state = ?", state
        )
        for state in State
    ]
    serials = [found[0] for found in told if found and isinstance(found[0], int)]
    return max((serial for serial in serials if 0 < serial < SERIAL_MAX), default=0)


def _rows(source: sqlite3.Connection, highest: int) -> Iterator[Found]:
    """Yield every row that can be read: by a scan, then one by one what it did not meet."""
    met = set()
    for found in _scanned(source, highest):
        if found["serial"] not in met:
            met.add(found["serial"])
            yield found
    newest = min(highest, max(met, default=highest) + LOOKUPS)
    for serial in range(max(1, newest - 2 * LOOKUPS), newest + 1):
        looked_up = None if serial in met else _looked_up(source, serial)
        if looked_up is not None:
            yield looked_up


def _scanned(source: sqlite3.Connection, highest: int) -> Iterator[Found]:
    """Yield rows in ranges that are halved where they cannot be read."""
    statement = f"SELECT {HEAD}, {TEXTS} FROM prompt WHERE serial BETWEEN ? AND ? ORDER BY serial"
    ranges, failures = [(1, highest)], 0
    while ranges and failures < FAILURES_MAX:
        first, last = ranges.pop()
        try:
            for columns in source.execute(statement, (first, last)):
                found = _named(columns)
                first = max(first, found["serial"] + 1)
                yield found
        except _UNREADABLE:
            failures += 1
            middle = (first + last) // 2
            if first < last:
                ranges += [(middle + 1, last), (first, middle)]


def _looked_up(source: sqlite3.Connection, serial: int) -> Found | None:
    """Return one row; without its texts, if only they cannot be read."""
    for columns in (f"{HEAD}, {TEXTS}", HEAD):
        found = _one(source, f"SELECT {columns} FROM prompt WHERE serial = ?", serial)
        if found is not None:
            return _named(found)
    return None


def _named(columns: tuple[Any, ...]) -> Found:
    return dict.fromkeys(_NAMES) | dict(zip(_NAMES, columns, strict=False))


def _one(source: sqlite3.Connection, statement: str, *values: object) -> tuple[Any, ...] | None:
    """Return the one row of a statement; None if there is none, or it cannot be read."""
    try:
        found: tuple[Any, ...] | None = source.execute(statement, values).fetchone()
    except _UNREADABLE:
        return None
    return found


def _copy_clock(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Let the spool's clock go on; from the newest row, at no known date, if it cannot be read."""
    found = _one(source, "SELECT spool_s, boot_id, boottime_s, wall_s, synchronised FROM clock")
    if found is None or not _keeps_time(target, found):
        (newest_s,) = target.execute(
            "SELECT max(max(accepted_s), ifnull(max(settled_s), 0)) FROM prompt"
        ).fetchone()
        _keeps_time(target, (newest_s or 0.0, "", 0.0, 0.0, 0))


def _keeps_time(target: sqlite3.Connection, clock: tuple[Any, ...]) -> bool:
    """Write the clock; return whether it makes sense."""
    try:
        target.execute("INSERT INTO clock VALUES (1, ?, ?, ?, ?, ?)", clock)
    except sqlite3.IntegrityError:
        return False
    return True


def _copy_boot(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Let starts count on: no id that the board gave may come again."""
    count = _one(source, "SELECT count FROM boot")
    ids = target.execute("SELECT id FROM prompt WHERE board_given")
    given = (re.match(r"b-(\d{1,9})-", id) for (id,) in ids)
    least = max((int(match[1]) for match in given if match), default=0)
    told = count[0] if count and isinstance(count[0], int) and count[0] < SERIAL_MAX else 0
    target.execute("UPDATE boot SET count = ?", (max(least, told),))


def _copy_note(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    found = _one(source, "SELECT text FROM note")
    if found is not None and isinstance(found[0], str):
        target.execute("INSERT INTO note VALUES (1, ?)", found)


def _copy_sequence(target: sqlite3.Connection, highest: int) -> None:
    """Let serials count on: none is given twice."""
    target.execute("DELETE FROM sqlite_sequence WHERE name = 'prompt'")
    target.execute("INSERT INTO sqlite_sequence VALUES ('prompt', ?)", (highest,))
