"""The daemon on a disk that is full or damaged, as devices and operators meet it.

Goal: it stays up or starts again by itself, says what is wrong in `state`, and every prompt that it
accepted has its outcome. Method: a real daemon on a small real disk that is filled below it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edged.errors import EXIT_SPOOL_DAMAGED
from tests.broker import Mosquitto
from tests.daemon_fixtures import BOARD, Asker, Daemon, long_answer
from tests.spool_fixtures import MIB, fill_disk, needs_mount, small_disk
from tools.board_processes import DEADLINE_S

pytestmark = pytest.mark.broker

SMALL: dict[str, dict[str, Any]] = {
    "spool": {"bytes_max": MIB},
    "model": {"context_tokens": 8192},
}
PAGE = 4096


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


def spool_state(watcher: Asker, problem_holds: str | None) -> dict[str, Any]:
    """Return what `state` says of the spool, once its problem is none or holds some words."""

    def is_meant(reply: dict[str, Any]) -> bool:
        if "spool" not in reply:
            return False
        problem = reply["spool"]["problem"]
        return problem is None if problem_holds is None else problem_holds in (problem or "")

    found: dict[str, Any] = watcher.next(is_meant)["spool"]
    return found


@needs_mount
@pytest.mark.slow
def test_a_disk_that_fills_costs_no_accepted_prompt_and_the_daemon_stays(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with (
        small_disk(tmp_path / "disk", 24 * MIB) as disk,
        Daemon(disk, broker, sections=SMALL) as daemon,
        Asker(broker) as device,
        Asker(broker, "watcher") as watcher,
    ):
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        watcher.subscribe(f"{BOARD}/state")
        for number in range(6):
            device.ask({"prompt": "x", "schema": long_answer(1500), "receipt": True}, f"p{number}")
        device.next(lambda reply: reply["event"] == "accepted" and reply["id"] == "p5")
        filler = fill_disk(disk)
        for number in range(6):
            assert outcome_of(device, f"p{number}") == "done"
        device.ask({"prompt": "y"}, "late")
        refusal = device.next(lambda reply: reply["id"] == "late")
        assert (refusal["event"], refusal["reason"]) == ("refused", "spool_full")
        assert refusal["retry_after_s"] > 0
        assert spool_state(watcher, "prompts are refused")["set_aside"] == []
        filler.unlink()
        spool_state(watcher, None)
        device.ask({"prompt": "y"}, "late")
        assert outcome_of(device, "late") == "done"
        assert daemon.stop() == 0


@needs_mount
def test_a_cancel_that_waits_for_the_disk_keeps_no_other_prompt_waiting(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """Prompts behind a PUBACK that does not come pile up at the broker, which drops them."""
    one_by_one = SMALL | {"model": {"context_tokens": 8192, "sequences": 1}}
    with (
        small_disk(tmp_path / "disk", 24 * MIB) as disk,
        Daemon(disk, broker, sections=one_by_one) as daemon,
        Asker(broker) as device,
    ):
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        for id in ("runs", "waits"):
            device.ask({"prompt": "x", "schema": long_answer(1500), "receipt": True}, id)
            device.next(lambda reply: reply["event"] == "accepted")
        (disk / "spool.reserve").unlink()
        filler = fill_disk(disk)
        device.cancel("waits")
        device.ask({"prompt": "y"}, "late")
        assert device.next(lambda reply: reply["id"] == "late")["reason"] == "spool_full"
        assert "cancelled" not in device.events("waits")
        filler.unlink()
        assert device.outcome("waits")["event"] == "cancelled"


def outcome_of(device: Asker, id: str) -> str:
    """Return the event of an id's outcome, heard already or still to come."""
    if not any(reply["id"] == id and reply["event"] == "done" for _, reply, _ in device.replies):
        device.outcome(id)
    return next(
        str(reply["event"])
        for _, reply, _ in device.replies
        if reply["id"] == id and reply["event"] not in ("accepted", "refused")
    )


@needs_mount
@pytest.mark.slow
def test_a_daemon_that_starts_on_a_full_disk_waits_and_then_answers(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with (
        small_disk(tmp_path / "disk", 24 * MIB) as disk,
        Daemon(disk, broker, sections=SMALL) as daemon,
        Asker(broker) as device,
    ):
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask({"prompt": "x", "schema": long_answer(1500), "receipt": True}, "p")
        device.next(lambda reply: reply["event"] == "accepted")
        daemon.kill()
        daemon.kill_engine()
        (disk / "spool.reserve").unlink()
        daemon.log = tmp_path / "second.log"
        filler = fill_disk(disk)
        daemon.start()
        daemon.wait_for_log("the spool cannot be opened")
        assert daemon.process is not None
        assert daemon.process.poll() is None
        filler.unlink()
        assert outcome_of(device, "p") == "done", device.replies


def test_damage_below_a_running_daemon_ends_it_and_the_next_start_keeps_the_rest(
    broker: Mosquitto, tmp_path: Path
) -> None:
    place = tmp_path / "edged"
    with (
        Daemon(place, broker, sections=SMALL) as daemon,
        Asker(broker) as device,
        Asker(broker, "watcher") as watcher,
    ):
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask({"prompt": "x"}, "p")
        device.outcome("p")
        spoil(place / "spool.db")
        device.ask({"prompt": "y"}, "lost")
        process = daemon.process
        assert process is not None
        process.wait(DEADLINE_S)
        assert process.returncode == EXIT_SPOOL_DAMAGED
        assert "the next start keeps what can be read" in daemon.log.read_text()
        daemon.start()
        watcher.subscribe(f"{BOARD}/state")
        daemon.wait_for_log("rows saved")
        found = watcher.next(lambda reply: reply["spool"]["set_aside"] != [])
        assert found["spool"]["set_aside"] == ["spool.db.damaged-1"]
        device.ask({"prompt": "z"}, "new")
        assert outcome_of(device, "new") == "done"


def spoil(path: Path) -> None:
    """Overwrite the spool of a running daemon, and let it forget what it has read of it."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(PAGE)
            file.write(b"\xff" * (path.stat().st_size - PAGE))
