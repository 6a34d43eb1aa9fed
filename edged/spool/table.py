"""The spool's table: every statement on it.

In:  candidates, settlements, serials.     Out: verdicts, rows, letters.
Blocking, for one thread: the spool calls it from its own. Times are seconds of the spool's clock.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from edged import config
from edged.clock import Instant, Record
from edged.contract import Destination
from edged.spool.disk import LOG_PAGES, Sync, prompt_bytes
from edged.spool.room import Room, free_pages
from edged.spool.rows import (
    LETTER_COLUMNS,
    ROW_COLUMNS,
    Answered,
    Candidate,
    Conflict,
    Fresh,
    Full,
    Job,
    Known,
    Letter,
    Row,
    Settlement,
    State,
    Verdict,
    letter_of,
    queued_row,
    row_of,
)
from edged.spool.salvage import open_sound

T = TypeVar("T")

# Rows that one transaction deletes at most: the log stays short, and prompts wait for milliseconds.
PURGE_ROWS = 256
# Free pages that stay in the file for the next prompts; what is over goes back to the disk.
FREE_PAGES_KEPT = LOG_PAGES
VACUUM_PAGES = 256


class Table:
    """An open spool file; what cannot be read of a damaged one is set aside.

    Raises:
        sqlite3.Error, OSError: it cannot be opened or written now.
        ConfigError: it was written by a newer edged, or by something else.
    """

    def __init__(self, path: Path) -> None:
        self._db = open_sound(path)
        self.dropped = 0  # outcomes that went for want of space
        self._droppable_s = 0.0  # before this no delivered row is past its deadline
        try:
            self.boot = self._count_boot()
            self.clock_record = self._clock_record()
            self.note = self._note()
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Fold the log into the file and close it."""
        with closing(self._db):
            self.checkpoint()

    def abandon(self) -> None:
        """Close it as it is; the next one to open it folds the log in."""
        self._db.close()

    def checkpoint(self) -> None:
        """Fold the log into the file and empty it: it holds texts of prompts that are erased."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def transact(self, work: Callable[[Table], T], record: Record, sync: Sync = Sync.NOW) -> T:
        """Run `work` and keep the clock, both or neither; durable on return if synced now."""
        self._db.execute(f"PRAGMA synchronous={sync}")
        with self._db:  # commits; rolls back what is still open, also when the commit fails
            self._db.execute("BEGIN IMMEDIATE")
            result = work(self)
            self._keep_clock(record)
        return result

    def accept(
        self,
        candidates: Sequence[Candidate],
        now_s: float,
        limits: config.Spool,
        unfinished: int,
        supersede: Callable[[Row], Settlement],
    ) -> list[Verdict]:
        """Return a verdict for each candidate; `unfinished` prompts are here already."""
        bytes_max = prompt_bytes(limits.bytes_max)
        room = Room(self._db, rows=unfinished, rows_max=limits.rows_max, bytes_max=bytes_max)
        return [self._accept(candidate, now_s, room, supersede) for candidate in candidates]

    def knows(self, candidate: Candidate) -> bool:
        """Return whether a prompt's id is here, or it is this very message sent again."""
        return self._same(candidate) is not None

    def recall(self, candidate: Candidate) -> Verdict | None:
        """Return a verdict on a prompt that is here, to answer this copy; None if it is not."""
        return self._known(candidate)

    def recover(self, *, deadlines_certain: bool) -> None:
        """Queue again what ran when the daemon ended; mark deadlines that no clock kept."""
        self._db.execute(
            "UPDATE prompt SET state = 'queued', restarts = restarts + 1 WHERE state = 'running'"
        )
        if not deadlines_certain:
            self._db.execute("UPDATE prompt SET deadline_certain = 0 WHERE state = 'queued'")

    def start(self, serials: Sequence[int]) -> dict[int, Job]:
        """Mark queued rows as running; return those jobs that can be read."""
        jobs = {}
        for serial in serials:
            found = self._one(
                "UPDATE prompt SET state = 'running' WHERE serial = ? AND state = 'queued' "
                "RETURNING CAST(job AS BLOB)",
                serial,
            )
            job = None if found is None else Job.from_json(found[0])
            if job is not None:
                jobs[serial] = job
        return jobs

    def requeue(self, serials: Iterable[int], attempts: int) -> None:
        """Queue running rows again and add to their attempts."""
        self._db.executemany(
            "UPDATE prompt SET state = 'queued', attempts = attempts + ? "
            "WHERE serial = ? AND state = 'running'",
            [(attempts, serial) for serial in serials],
        )

    def settle(self, settlements: Mapping[int, Settlement], now_s: float) -> None:
        """Write outcomes; the first one of a row stays."""
        self._db.executemany(
            "UPDATE prompt SET state = 'settled', job = NULL, event = ?, status = ?, outcome = ?, "
            "settled_s = ? WHERE serial = ? AND state IN ('queued', 'running')",
            [
                (settlement.event, settlement.status, settlement.body, now_s, serial)
                for serial, settlement in settlements.items()
            ],
        )

    def keep_note(self, text: str) -> None:
        """Keep a note in the place of the one before."""
        self._db.execute("INSERT OR REPLACE INTO note VALUES (1, ?)", (text,))

    def delivered(self, claimed: Mapping[int, bool]) -> None:
        """Mark settled rows as delivered."""
        for serial, is_claimed in claimed.items():
            found = self._one(
                "UPDATE prompt SET state = 'delivered', unclaimed = ? "
                "WHERE serial = ? AND state = 'settled' RETURNING deadline_s",
                not is_claimed,
                serial,
            )
            if found is not None:
                self._droppable_s = min(self._droppable_s, found[0])

    def purge(self, before_s: float, now_s: float) -> bool:
        """Delete delivered rows that were settled before `before_s`, never inside their ttl.

        Return whether there may be more of them.
        """
        deleted = self._db.execute(
            "DELETE FROM prompt WHERE serial IN (SELECT serial FROM prompt WHERE "
            "state = 'delivered' AND settled_s < ? AND deadline_s < ? ORDER BY settled_s LIMIT ?)",
            (before_s, now_s, PURGE_ROWS),
        )
        return deleted.rowcount == PURGE_ROWS

    def vacuum(self) -> bool:
        """Give some pages back to the disk, if many are free; return whether there are more."""
        free = free_pages(self._db)
        if free <= FREE_PAGES_KEPT:
            return False
        surplus = min(VACUUM_PAGES, free - FREE_PAGES_KEPT)
        # It frees a page with each row that is fetched.
        self._db.execute(f"PRAGMA incremental_vacuum({surplus})").fetchall()
        return free_pages(self._db) < free

    def unfinished(self) -> list[Row]:
        """Return the rows without an outcome, in arrival order."""
        # Where it has counted, SQLite would walk over all rows in their order, to save the sorting.
        found = self._db.execute(
            f"SELECT {ROW_COLUMNS} FROM prompt INDEXED BY prompt_state "
            "WHERE state IN ('queued', 'running') ORDER BY serial"
        )
        return [row_of(columns) for columns in found]

    def letters(self, after: int, at_most: int) -> list[Letter]:
        """Return settled, undelivered outcomes with serials over `after`, oldest first."""
        found = self._db.execute(
            f"SELECT {LETTER_COLUMNS} FROM prompt WHERE state = 'settled' AND serial > ? "
            "ORDER BY serial LIMIT ?",
            (after, at_most),
        )
        return [letter_of(columns) for columns in found]

    def letters_of(self, serials: Iterable[int]) -> list[Letter]:
        """Return the outcomes of those rows that are settled and undelivered."""
        query = f"SELECT {LETTER_COLUMNS} FROM prompt WHERE serial = ? AND state = 'settled'"
        found = (self._one(query, serial) for serial in serials)
        return [letter_of(columns) for columns in found if columns is not None]

    def letter(self, client: str, id: str) -> Letter | None:
        """Return the outcome of (client, id), delivered or not."""
        found = self._one(
            f"SELECT {LETTER_COLUMNS} FROM prompt "
            "WHERE client = ? AND id = ? AND outcome IS NOT NULL",
            client,
            id,
        )
        return None if found is None else letter_of(found)

    def _accept(
        self,
        candidate: Candidate,
        now_s: float,
        room: Room,
        supersede: Callable[[Row], Settlement],
    ) -> Verdict:
        if candidate.is_plain and room.has_rows and room.has_bytes:
            row = self._insert(candidate, now_s, room)
            if row is not None:
                return Fresh(row)
        known = self._known(candidate)
        if known is not None:
            return known
        superseded = self._superseded(candidate)
        room.free(len(superseded))
        full = self._full(now_s, room)
        if full is not None:
            room.free(-len(superseded))
            return full
        self.settle({row.serial: supersede(row) for row in superseded}, now_s)
        row = self._insert(candidate, now_s, room)
        assert row is not None, "its id is not taken"
        return Fresh(row, tuple(superseded))

    def _known(self, candidate: Candidate) -> Verdict | None:
        """Return what is here of the same prompt or id."""
        serial = self._same(candidate)
        if serial is None:
            return None
        row, fingerprint = self._row(serial)
        if fingerprint.partition(" ")[0] != candidate.fingerprint:
            return Conflict(row.id)
        if not candidate.board_given:  # else its topic follows an id that is not the row's
            self._redirect(serial, candidate.destination)
        letter = self.letter(row.client, row.id)
        return Known(self._row(serial)[0]) if letter is None else Answered(row.id, letter)

    def _same(self, candidate: Candidate) -> int | None:
        """Return the serial of the row that has this id, or is this very message sent again.

        A broker that has acknowledged the outcome has read our PUBACK of the prompt before: under
        its packet id comes another message now.
        Source: MQTT 5, 4.4 (a message is sent again under its packet id).
        """
        found = self._one(
            "SELECT serial FROM prompt WHERE client = ? AND id = ?", candidate.client, candidate.id
        )
        if found is None and candidate.board_given and candidate.duplicate:
            found = self._one(
                "SELECT serial FROM prompt WHERE client = ? AND fingerprint = ? AND board_given "
                "AND state != 'delivered' ORDER BY serial DESC",
                candidate.client,
                candidate.kept_fingerprint,
            )
        return None if found is None else int(found[0])

    def _redirect(self, serial: int, to: Destination) -> None:
        """Send the outcome where the newest copy of the prompt wants it."""
        self._db.execute(
            "UPDATE prompt SET topic = ?, correlation = ? WHERE serial = ?",
            (to.topic, to.correlation, serial),
        )

    def _full(self, now_s: float, room: Room) -> Full | None:
        """Return why there is no room for a prompt."""
        if not room.has_rows:
            return Full("queue_full", f"{room.rows} prompts wait, limit spool.rows_max")
        while not room.has_bytes:
            if not self._drop_oldest(now_s):
                return Full("spool_full", f"over {room.bytes_max} bytes, limit spool.bytes_max")
        return None

    def _drop_oldest(self, now_s: float) -> bool:
        """Delete some of the oldest delivered rows past their deadline; return whether any.

        Where there are none it has looked at every delivered row, and knows when to look again.
        """
        if now_s <= self._droppable_s:
            return False
        dropped = self._db.execute(
            "DELETE FROM prompt WHERE serial IN (SELECT serial FROM prompt WHERE "
            "state = 'delivered' AND deadline_s < ? ORDER BY serial LIMIT 64)",
            (now_s,),
        )
        self.dropped += dropped.rowcount
        if not dropped.rowcount:
            found = self._one("SELECT min(deadline_s) FROM prompt WHERE state = 'delivered'")
            self._droppable_s = math.inf if found is None or found[0] is None else found[0]
        return dropped.rowcount > 0

    def _superseded(self, candidate: Candidate) -> list[Row]:
        if candidate.replace is None:
            return []
        found = self._db.execute(
            f"SELECT {ROW_COLUMNS} FROM prompt "
            "WHERE client = ? AND replace_key = ? AND state = 'queued'",
            (candidate.client, candidate.replace),
        )
        return [row_of(columns) for columns in found.fetchall()]

    def _insert(self, candidate: Candidate, now_s: float, room: Room) -> Row | None:
        """Return the new row; None, and nothing happened: its client has that id already."""
        to, job = candidate.destination, candidate.job.to_json()
        cursor = self._db.execute(
            "INSERT INTO prompt (client, id, fingerprint, board_given, state, accepted_s, "
            "deadline_s, deadline_certain, priority, stream, receipt, replace_key, topic, "
            "correlation, job) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (client, id) DO NOTHING",
            (
                candidate.client,
                candidate.id,
                candidate.kept_fingerprint,
                candidate.board_given,
                State.QUEUED,
                now_s,
                now_s + candidate.ttl_s,
                candidate.priority,
                candidate.stream,
                candidate.receipt,
                candidate.replace,
                to.topic,
                to.correlation,
                job,
            ),
        )
        if not cursor.rowcount:
            return None
        room.take(job)
        serial = cursor.lastrowid
        assert serial is not None
        return queued_row(candidate, serial, now_s)

    def _row(self, serial: int) -> tuple[Row, str]:
        found = self._one(f"SELECT {ROW_COLUMNS}, fingerprint FROM prompt WHERE serial = ?", serial)
        assert found is not None
        return row_of(found[:-1]), found[-1]

    def _count_boot(self) -> int:
        found = self._one("UPDATE boot SET count = count + 1 WHERE one = 1 RETURNING count")
        assert found is not None
        return int(found[0])

    def _note(self) -> str | None:
        found = self._one("SELECT text FROM note WHERE one = 1")
        return None if found is None else str(found[0])

    def _clock_record(self) -> Record | None:
        found = self._one(
            "SELECT spool_s, boot_id, boottime_s, wall_s, synchronised FROM clock WHERE one = 1"
        )
        if found is None:
            return None
        spool_s, boot_id, boottime_s, wall_s, synchronised = found
        return Record(spool_s, Instant(boot_id, boottime_s, wall_s, bool(synchronised)))

    def _keep_clock(self, record: Record) -> None:
        then = record.instant
        found = (record.spool_s, then.boot_id, then.boottime_s, then.wall_s, then.synchronised)
        self._db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?, ?, ?)", found)

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        with closing(self._db.execute(statement, values)) as cursor:
            found: tuple[Any, ...] | None = cursor.fetchone()
            return found
