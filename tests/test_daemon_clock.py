"""The calendar of a board jumps, or begins in 1970: no accepted prompt expires of it, or waits.

Method: libfaketime sets the calendar of a real daemon. For a reboot the daemon starts in a time
namespace whose CLOCK_BOOTTIME began a moment ago, with another boot id. The engine, which looks at
no calendar, runs beside it: libfaketime 0.9.10 makes errors of sleeps until a moment.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import Asker, Daemon, long_answer
from tests.daemon_fixtures import device as device
from tools import faketime_library
from tools.crash.house import EngineUnit

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        faketime_library.library() is None, reason="no libfaketime here: tools/test unpacks it"
    ),
]

# Over a second of the simulated engine: what is done then happens while it runs.
LONG = {"prompt": "x", "schema": long_answer(600), "receipt": True, "ttl_s": 60}
BEGINNING = "@1970-01-02 00:00:00"
HOUR_S = 3600


@pytest.fixture(scope="module")
def clock_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clock") / "clock"


@pytest.fixture(autouse=True)
def clock(clock_file: Path) -> Iterator[Path]:
    """The file that says what time it is; right before and after each test."""
    faketime_library.set_clock(clock_file, "+0")
    yield clock_file
    faketime_library.set_clock(clock_file, "+0")


@pytest.fixture(scope="module")
def daemon(
    broker: Mosquitto, clock_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    library = faketime_library.library()
    assert library is not None
    faketime_library.set_clock(clock_file, "+0")
    surroundings = faketime_library.environment(library, clock_file)
    # Any name: under systemd the daemon waits for the engine and starts none.
    surroundings["NOTIFY_SOCKET"] = str(clock_file.with_name("nobody.sock"))
    place = tmp_path_factory.mktemp("daemon")
    running = Daemon(place, broker, environment=surroundings)
    engine = EngineUnit(running.config, place / "engine.sock", running.log)
    engine.start()
    try:
        with running:
            running.wait_for_log("is resident")
            running.wait_for_log("connected to the broker")
            yield running
    finally:
        engine.kill()


@pytest.mark.parametrize("jump", ["+6h", "-6h"])
@pytest.mark.slow
def test_a_clock_that_jumps_by_hours_costs_a_running_prompt_nothing(
    daemon: Daemon, device: Asker, clock: Path, jump: str
) -> None:
    device.ask(LONG, "p")
    device.next(lambda reply: reply["event"] == "accepted")
    faketime_library.set_clock(clock, jump)
    reply = device.outcome("p")
    assert (reply["event"], reply["timing"]["total_s"] < 60) == ("done", True)
    assert abs(wall_s(daemon) - time.time()) > 5 * HOUR_S


def test_the_connection_lives_through_a_clock_that_jumps(
    daemon: Daemon, device: Asker, clock: Path
) -> None:
    connects = daemon.log.read_text().count("connected to the broker")
    for number, jump in enumerate(("+48h", "-48h", BEGINNING)):
        faketime_library.set_clock(clock, jump)
        device.ask({"prompt": "hello"}, f"p{number}")
        assert device.outcome(f"p{number}")["event"] == "done"
    assert daemon.log.read_text().count("connected to the broker") == connects


@pytest.mark.parametrize("start", [BEGINNING, "+1000h"])
def test_a_daemon_that_starts_with_a_wrong_clock_answers_what_it_had_accepted(
    daemon: Daemon, device: Asker, clock: Path, start: str
) -> None:
    device.ask(LONG, "p")
    device.next(lambda reply: reply["event"] == "accepted")
    daemon.kill()
    faketime_library.set_clock(clock, start)
    daemon.start()
    reply = device.outcome("p")
    # Within a boot the time that passed is known, whatever the calendar says.
    assert (reply["event"], reply.get("deadline_certain")) == ("done", None)
    assert abs(wall_s(daemon) - time.time()) > 900 * HOUR_S


@functools.cache
def can_pretend_a_reboot() -> bool:
    """Return whether a time namespace can be had; before Linux 6.0 only a child enters it."""
    if os.geteuid() != 0:
        return False
    command = ["unshare", "--mount", "--time", "--boottime", "-10", "cat", "/proc/uptime"]
    seen = subprocess.run(command, capture_output=True, text=True, check=False)
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return seen.returncode == 0 and float(seen.stdout.split()[0]) < now_s - 5


@pytest.mark.skipif(not can_pretend_a_reboot(), reason="needs root and a time namespace")
def test_after_a_reboot_without_a_clock_what_was_accepted_is_answered(
    daemon: Daemon, device: Asker, clock: Path, tmp_path: Path
) -> None:
    device.ask(LONG, "p")
    device.next(lambda reply: reply["event"] == "accepted")
    daemon.kill()
    faketime_library.set_clock(clock, BEGINNING)
    daemon.prefix = another_boot(tmp_path)
    daemon.start()
    daemon.prefix = ()
    reply = device.outcome("p")
    assert (reply["event"], reply["deadline_certain"]) == ("done", False)
    assert wall_s(daemon) < 10 * 24 * HOUR_S


def another_boot(folder: Path) -> list[str]:
    """Return a command after which the rest of its line runs as in another boot of the machine."""
    boot_id = folder / "boot_id"
    boot_id.write_text(f"{uuid.uuid4()}\n")
    up_s = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - 20
    bind = f'mount --bind {boot_id} /proc/sys/kernel/random/boot_id && exec "$@"'
    return ["unshare", "--mount", "--time", "--boottime", f"-{up_s}", "sh", "-c", bind, "sh"]


def wall_s(daemon: Daemon) -> float:
    """Return the calendar's time at the daemon's last commit."""
    with closing(sqlite3.connect(daemon.state_dir / "spool.db")) as spool:
        (kept_s,) = spool.execute("SELECT wall_s FROM clock").fetchone()
    return float(kept_s)
