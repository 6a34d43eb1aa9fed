"""What the host finds on a disk after a cut: its file system, and the rows of accepted prompts.

In:  the image of a disk, the books as they stood before the cut.     Out: what is missing or wrong.
The file system's journal is played back as the machine would do it, on this image.
"""

from __future__ import annotations

import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.crash import evidence
from tools.crash.books import Books, digest_of
from tools.whole_machine.programs import Programs

STATE = "/var/lib/edged"
# Source: e2fsck(8): 1 is "errors corrected", which is what a journal's playback ends with.
CORRECTED = 1


@dataclass(frozen=True, slots=True)
class Known:
    """What an outside client had heard before a cut.

    Attributes:
        accepted: ids that were called accepted.
        outcomes: the digest of each outcome that was heard.
    """

    accepted: frozenset[str]
    outcomes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with a disk; nothing is, where all of it is empty.

    Attributes:
        missing: accepted ids without a row.
        changed: ids whose row does not hold the outcome that was heard.
        damage: of the file system or the spool, in words.
    """

    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


def known(books: Books) -> Known:
    """Return what is known now; more may be heard while a disk is looked at."""
    heard = {id: next(iter(digests)) for id, digests in books.outcomes.items()}
    return Known(frozenset(books.accepted), heard)


def check(disk: Path, programs: Programs, client: str, before: Known) -> Found:
    """Return what is wrong with a disk. The image is changed: its journal is played back."""
    damage = _file_system_damage(disk, programs)
    with tempfile.TemporaryDirectory(prefix="edged-cut-") as scratch:
        programs.run("debugfs", "-R", f"rdump {STATE} {scratch}", str(disk))
        found = spool_found(Path(scratch) / Path(STATE).name, client, before)
    return replace(found, damage=damage + found.damage)


def spool_found(state: Path, client: str, before: Known) -> Found:
    """Return what is wrong with the spool of a state directory, as nobody has opened it yet."""
    damage = sorted(path.name for path in state.glob("spool.db.damaged-*"))
    spool = state / "spool.db"
    if not spool.exists():
        return Found(sorted(before.accepted), sorted(before.outcomes), [*damage, "no spool.db"])
    with closing(sqlite3.connect(spool)) as database:
        question = "SELECT id, outcome FROM prompt WHERE client = ?"
        rows = dict(database.execute(question, (client,)))
    outcomes = before.outcomes.items()
    changed = [id for id, digest in outcomes if digest_of(rows.get(id) or b"") != digest]
    damage += filter(None, [evidence.damage(spool)])
    return Found(sorted(before.accepted - rows.keys()), sorted(changed), damage)


def _file_system_damage(disk: Path, programs: Programs) -> list[str]:
    command = [str(programs.paths["e2fsck"]), "-f", "-y", str(disk)]
    done = subprocess.run(
        command, env=programs.environment, capture_output=True, text=True, check=False
    )
    return [] if done.returncode <= CORRECTED else [f"e2fsck: {done.stdout[-500:]}"]
