"""The spool's SQLite file: its schema, its pragmas, and what an older or newer one means.

In:  a path.     Out: an open connection whose schema is the current one and whose file is sound.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from edged.errors import ConfigError, SpoolDamaged
from edged.spool.disk import LOG_PAGES, PAGE_BYTES, Fault, Sync, fault_of

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2

# Before `job` stands what is needed to answer a prompt whose text cannot be read any more.
HEAD = (
    "serial, client, id, fingerprint, board_given, state, accepted_s, deadline_s, "
    "deadline_certain, priority, stream, receipt, replace_key, topic, correlation, attempts, "
    "restarts"
)
TEXTS = "job, event, status, outcome, settled_s, unclaimed"

# The checks are for files, not for edged: `integrity_check` finds with them what a disk changed.
_PROMPT = """
CREATE TABLE prompt (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  client TEXT NOT NULL, id TEXT NOT NULL,
  fingerprint TEXT NOT NULL, board_given INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'settled', 'delivered')),
  accepted_s REAL NOT NULL, deadline_s REAL NOT NULL, deadline_certain INTEGER NOT NULL,
  priority INTEGER NOT NULL, stream INTEGER NOT NULL, receipt INTEGER NOT NULL,
  replace_key TEXT,
  topic TEXT NOT NULL, correlation BLOB,
  attempts INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0,
  job TEXT,
  event TEXT, status INTEGER, outcome BLOB, settled_s REAL, unclaimed INTEGER NOT NULL DEFAULT 0,
  UNIQUE (client, id),
  CHECK ((state IN ('queued', 'running')) = (job IS NOT NULL)),
  CHECK ((state IN ('settled', 'delivered')) = (event IS NOT NULL)),
  CHECK ((event IS NULL) = (status IS NULL)),
  CHECK ((event IS NULL) = (outcome IS NULL)),
  CHECK ((event IS NULL) = (settled_s IS NULL))
) STRICT;
CREATE INDEX prompt_state ON prompt (state, serial);
CREATE INDEX prompt_replace ON prompt (client, replace_key) WHERE replace_key IS NOT NULL;
CREATE INDEX prompt_board_given ON prompt (client, fingerprint) WHERE board_given;
CREATE INDEX prompt_delivered ON prompt (settled_s) WHERE state = 'delivered';
"""

# What is to be as durable as the outcomes it belongs to.
_NOTE = "CREATE TABLE note (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL) STRICT;"

_CLOCK_AND_BOOT = """
CREATE TABLE clock (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  spool_s REAL NOT NULL CHECK (spool_s BETWEEN 0 AND 1e11), boot_id TEXT NOT NULL,
  boottime_s REAL NOT NULL, wall_s REAL NOT NULL, synchronised INTEGER NOT NULL
) STRICT;
CREATE TABLE boot (
  one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL CHECK (count >= 0)
) STRICT;
"""

_NEW = f"{_PROMPT} {_CLOCK_AND_BOOT} {_NOTE} INSERT INTO boot VALUES (1, 0);"

# From each version to the next. Version 1 was written in two shapes: the older one has a further
# column `protocol5`, which no new row could fill.
_STEPS = {
    1: f"""
DROP INDEX prompt_state; DROP INDEX prompt_replace; DROP INDEX prompt_board_given;
ALTER TABLE prompt RENAME TO prompt_1;
ALTER TABLE clock RENAME TO clock_1;
ALTER TABLE boot RENAME TO boot_1;
{_PROMPT} {_CLOCK_AND_BOOT} {_NOTE}
INSERT INTO prompt ({HEAD}, {TEXTS}) SELECT {HEAD}, {TEXTS} FROM prompt_1 ORDER BY serial;
DELETE FROM sqlite_sequence WHERE name = 'prompt';
INSERT INTO sqlite_sequence SELECT 'prompt', seq FROM sqlite_sequence WHERE name = 'prompt_1';
INSERT INTO clock SELECT * FROM clock_1;
INSERT INTO boot SELECT * FROM boot_1;
DROP TABLE prompt_1; DROP TABLE clock_1; DROP TABLE boot_1;
""",
}

_PRAGMAS = (
    # Of a new file; an older one gets it in `_compact`.
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    # Of what is not said otherwise: see `disk.Sync`.
    f"synchronous={Sync.NOW}",
    # Erased prompts are overwritten, not only unlinked.
    "secure_delete=ON",
    f"wal_autocheckpoint={LOG_PAGES}",
    f"journal_size_limit={LOG_PAGES * PAGE_BYTES}",
)


def open_database(path: Path) -> sqlite3.Connection:
    """Return the spool's connection; statements commit by themselves unless a BEGIN was given.

    Raises:
        sqlite3.Error, OSError: it cannot be opened or written now.
        SpoolDamaged: something in it cannot be read.
        ConfigError: it was written by a newer edged, or by something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)  # prompts are nobody else's business
    log_of_it = path.with_name(path.name + "-wal")
    if not path.stat().st_size and log_of_it.exists():
        # SQLite would delete the log of an empty file.
        raise SpoolDamaged(f"{path}: damaged: it is empty, though it has a log")
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # A text that the disk changed is no reason to stop; the prompt itself is read more strictly.
    database.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        _prepare(database, path)
    except UnicodeDecodeError as error:  # of SQLite's own words on a damaged name
        database.close()
        raise SpoolDamaged(f"{path}: damaged: its definitions cannot be read") from error
    except (sqlite3.Error, ConfigError, SpoolDamaged) as error:
        database.close()
        if isinstance(error, sqlite3.Error) and _is_damage(error):
            raise SpoolDamaged(f"{path}: damaged: {error}") from error
        raise
    return database


def _is_damage(error: sqlite3.Error) -> bool:
    """Return whether a file that could be opened and chmodded is damaged.

    SQLITE_ERROR: a format or a definition that SQLite does not know. SQLITE_READONLY: a header that
    says so. SQLITE_CONSTRAINT: rows of an older version that break the rules of the next.
    """
    odd = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY)
    return (
        fault_of(error) is Fault.DAMAGED
        or isinstance(error, sqlite3.IntegrityError)
        or getattr(error, "sqlite_errorcode", None) in odd
    )


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not 0 <= version <= SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: written by a newer edged (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); install that version again, or move the file aside"
        )
    if tables and not version:
        raise ConfigError(f"{path}: a database, but not edged's; move the file aside")
    for pragma in _PRAGMAS:
        database.execute(f"PRAGMA {pragma}")
    if version:
        _check(database, path)
    _migrate(database, path, version)
    if _definitions(database) != _definitions_of_new():
        raise SpoolDamaged(f"{path}: damaged: its definitions are not those of this version")
    if database.execute("SELECT count FROM boot WHERE one = 1").fetchone() is None:
        raise SpoolDamaged(f"{path}: damaged: it does not know how often it was opened")


def _definitions(database: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Return kind, name and text of every table and index."""
    statement = "SELECT type, name, ifnull(sql, '') FROM sqlite_master ORDER BY type, name"
    return database.execute(statement).fetchall()


def _definitions_of_new() -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_NEW)
        return _definitions(database)


def _check(database: sqlite3.Connection, path: Path) -> None:
    """Read the whole file: rows behind a damaged index would be forgotten without a word."""
    (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise SpoolDamaged(f"{path}: damaged: {found}")


def _migrate(database: sqlite3.Connection, path: Path, version: int) -> None:
    if not version:
        log.info("%s: a new spool", path)
        _run(database, _NEW, SCHEMA_VERSION)
    for older in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
        log.info("%s: from schema %d to %d", path, older, older + 1)
        _run(database, _STEPS[older], older + 1)
    _compact(database, path)


def _run(database: sqlite3.Connection, script: str, version: int) -> None:
    database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {version}; COMMIT;")


def _compact(database: sqlite3.Connection, path: Path) -> None:
    """Let a file of schema 1 give free pages back to the disk, once there is room to rewrite it."""
    (mode,) = database.execute("PRAGMA auto_vacuum").fetchone()
    if mode:
        return
    try:
        database.execute("PRAGMA auto_vacuum=INCREMENTAL")
        database.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if fault_of(error) is not Fault.FULL:
            raise
        log.warning("%s: no room to compact it (%s); the next start tries again", path, error)
