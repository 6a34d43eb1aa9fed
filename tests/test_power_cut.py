"""The power of a whole machine is cut while prompts come: nothing that it accepted is lost.

Method: `tools/power_cut`, five cuts and a boot from what the last one left.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.spool.queue import Spool
from edged.spool.rows import Settlement
from tests.prompt_fixtures import candidate
from tests.spool_fixtures import fresh, in_spool
from tools.crash.books import Books, Heard, digest_of
from tools.whole_machine import check, programs
from tools.whole_machine.power_cut import CUTS_PER_BOOT, FOLDER, power_cut

CLIENT = candidate("a").client


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or programs.find() is None,
    reason="needs root, and QEMU and mmdebstrap, which tools/power_cut unpacks",
)
def test_a_machine_whose_power_is_cut_accounts_for_every_accepted_prompt() -> None:
    report = power_cut(FOLDER, CUTS_PER_BOOT)
    assert report.is_clean, report
    assert (report.cuts, report.reboots) == (CUTS_PER_BOOT, 1)
    assert report.outcomes == report.asked
    assert report.accepted > 0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory whose spool has an outcome for `a`, and none for `b`."""

    async def scenario(spool: Spool) -> None:
        await fresh(spool, candidate("a"), candidate("b"))
        await spool.settle({1: Settlement("done", 200, b"{}")})

    in_spool(tmp_path, scenario)
    return tmp_path


def heard(*replies: Heard) -> check.Known:
    """Return what a client knows that heard these."""
    books = Books()
    for reply in replies:
        books.enter(reply)
    return check.known(books)


A, B = (Heard(id, "accepted", "x") for id in "ab")


def test_a_disk_with_all_that_was_heard_is_sound(state: Path) -> None:
    done = Heard("a", "done", digest_of(b"{}"))
    assert check.spool_found(state, CLIENT, heard(A, B, done)) == check.Found()


def test_an_accepted_id_without_a_row_is_found_missing(state: Path) -> None:
    found = check.spool_found(state, CLIENT, heard(A, Heard("c", "accepted", "x")))
    assert found == check.Found(missing=["c"])


@pytest.mark.parametrize("id", ["a", "b", "c"])
def test_an_outcome_that_the_disk_does_not_have_is_found_changed(state: Path, id: str) -> None:
    found = check.spool_found(state, CLIENT, heard(Heard(id, "done", digest_of(b"other"))))
    assert found == check.Found(changed=[id])


def test_a_disk_without_a_spool_has_lost_all_of_it(tmp_path: Path) -> None:
    found = check.spool_found(tmp_path, CLIENT, heard(A))
    assert (found.missing, found.damage) == (["a"], ["no spool.db"])
