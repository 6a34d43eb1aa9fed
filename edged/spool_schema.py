"""The spool's SQLite file: its schema, its pragmas, and what an older or newer one means.

In:  a path.     Out: an open connection whose schema is the current one.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edged.errors import ConfigError

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE prompt (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  client TEXT NOT NULL, id TEXT NOT NULL,
  fingerprint TEXT NOT NULL, board_given INTEGER NOT NULL,
  state TEXT NOT NULL,
  accepted_s REAL NOT NULL, deadline_s REAL NOT NULL, deadline_certain INTEGER NOT NULL,
  priority INTEGER NOT NULL, stream INTEGER NOT NULL, receipt INTEGER NOT NULL,
  replace_key TEXT,
  topic TEXT NOT NULL, correlation BLOB,
  attempts INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0,
  job TEXT,
  event TEXT, status INTEGER, outcome BLOB, settled_s REAL, unclaimed INTEGER NOT NULL DEFAULT 0,
  UNIQUE (client, id)
);
CREATE INDEX prompt_state ON prompt (state, serial);
CREATE INDEX prompt_replace ON prompt (client, replace_key) WHERE replace_key IS NOT NULL;
CREATE INDEX prompt_board_given ON prompt (client, fingerprint) WHERE board_given;
CREATE TABLE clock (
  one INTEGER PRIMARY KEY CHECK (one = 1), spool_s REAL NOT NULL, boot_id TEXT NOT NULL,
  boottime_s REAL NOT NULL, wall_s REAL NOT NULL, synchronised INTEGER NOT NULL
);
CREATE TABLE boot (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL);
INSERT INTO boot VALUES (1, 0);
"""
# Since schema 2: what is to be as durable as the outcomes it belongs to.
_NOTE = "CREATE TABLE note (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL);"


def open_database(path: Path) -> sqlite3.Connection:
    """Return the spool's connection; statements commit by themselves unless a BEGIN was given.

    Raises:
        sqlite3.Error: it cannot be opened, or is no database.
        ConfigError: it was written by a newer edged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        path.chmod(0o600)  # prompts are nobody else's business
        _prepare(database, path)
    except (sqlite3.Error, ConfigError):
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    for pragma in (
        "journal_mode=WAL",
        # Source: sqlite.org/pragma.html: FULL syncs the WAL at each commit; NORMAL does not.
        "synchronous=FULL",
        # Erased prompts are overwritten, not only unlinked.
        "secure_delete=ON",
    ):
        database.execute(f"PRAGMA {pragma}")
    _migrate(database, path)


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: written by a newer edged (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); install that version again, or move the file aside"
        )
    if version < SCHEMA_VERSION:
        script = _NOTE if version else _SCHEMA + _NOTE
        database.executescript(f"BEGIN; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
