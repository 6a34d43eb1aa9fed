"""The books of the crash tests notice what they are there for."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from edged.spool.queue import Spool
from edged.spool.rows import Settlement
from tests.prompt_fixtures import candidate
from tests.spool_fixtures import fresh, in_spool
from tools.crash.books import Asked, BookFile, Books, Died, Entry, Heard, Missing, Struck
from tools.crash.engine_tap import boot_id
from tools.crash.evidence import damage, missing_rows, watched
from tools.crash.faults import FAULTS, Counts, due

ASKED = Asked("p", "{}")
ACCEPTED = Heard("p", "accepted", "a")
DONE = Heard("p", "done", "b")


def books_of(*entries: Entry) -> Books:
    """Return books with these entries."""
    books = Books()
    for entry in entries:
        books.enter(entry)
    return books


def test_an_accepted_prompt_without_outcome_is_unfinished() -> None:
    assert books_of(ASKED, ACCEPTED).unfinished == {"p"}
    assert books_of(ASKED, ACCEPTED, DONE).unfinished == set()


def test_the_same_outcome_twice_is_no_contradiction() -> None:
    assert books_of(ASKED, DONE, DONE).contradicted == []


def test_two_distinct_outcomes_are_a_contradiction() -> None:
    assert books_of(ASKED, DONE, Heard("p", "done", "c")).contradicted == ["p"]


def test_a_prompt_published_again_is_counted_as_a_copy() -> None:
    assert books_of(ASKED, ASKED).asked_again == 1


def test_books_in_a_file_go_on(tmp_path: Path) -> None:
    entries: list[Entry] = [
        ASKED,
        ACCEPTED,
        Struck("freezes", "engine"),
        Missing(["p"]),
        Died("daemon"),
    ]
    write(tmp_path / "books", *entries)
    file = BookFile(tmp_path / "books")
    file.close()
    assert file.books == books_of(*entries)


def test_a_line_that_was_cut_off_is_taken_out_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "books"
    write(path, ASKED)
    with path.open("ab") as file:
        file.write(b'{"kind": "hea')
    write(path, DONE)
    again = BookFile(path)
    again.close()
    assert again.books == books_of(ASKED, DONE)


def write(path: Path, *entries: Entry) -> None:
    """Append entries to a file of books."""
    file = BookFile(path)
    for entry in entries:
        file.enter(entry)
    file.close()


def test_faults_are_due_until_each_count_is_reached() -> None:
    wanted, books, chance = Counts(daemon_kills=2, link_faults=3), Books(), random.Random(1)
    while (fault := due(wanted, books, chance)) is not None:
        books.enter(Struck(*fault))
    groups = Counter(group for group, _ in books.struck.elements())
    assert groups == {"daemon_kills": 2, "link_faults": 3}


def test_every_group_has_its_faults() -> None:
    assert list(FAULTS) == list(Counts.__dataclass_fields__)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool with an outcome for `a`, row 1, and without one for `b`, row 2."""

    async def scenario(spool: Spool) -> None:
        await fresh(spool, candidate("a"), candidate("b"))
        await spool.settle({1: Settlement("done", 200, b"{}")})

    in_spool(tmp_path, scenario)
    return tmp_path / "spool.db"


def test_an_accepted_prompt_without_a_row_is_missing(spool: Path) -> None:
    assert missing_rows(spool, candidate("a").client, ["a", "b", "c"]) == ["c"]


def test_an_inference_after_the_commit_is_late(spool: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(spool)) as database:
        (settled_s,) = database.execute("SELECT settled_s FROM prompt WHERE serial = 1").fetchone()
        (offset_s,) = database.execute("SELECT spool_s - boottime_s FROM clock").fetchone()
    commit_s = settled_s - offset_s
    lines = [handed(1, commit_s - 1), handed(1, commit_s + 1), handed(2, commit_s + 1)]
    (tmp_path / "handed").write_text("\n".join(lines))
    found = watched(spool, tmp_path / "handed")
    assert (found.inferences, found.late) == (3, (1,))


def handed(serial: int, boottime_s: float) -> str:
    """Return a line of the tap."""
    return json.dumps({"boot": boot_id(), "serial": str(serial), "boottime_s": boottime_s})


def test_a_damaged_spool_is_told(spool: Path) -> None:
    assert damage(spool) == ""
    pages = bytearray(spool.read_bytes())
    pages[4096:] = b"\xff" * (len(pages) - 4096)
    spool.write_bytes(pages)
    assert damage(spool) != ""
