"""The admin socket and its commands, on a real daemon: who may, what is refused, what it does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edged.__main__ import main
from edged.admin import client
from edged.admin.peer import Peer, is_allowed, peer_of
from edged.admin.wire import ASK_BYTES_MAX
from edged.config import Config, placed
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import BOARD, ROOT, Asker, Daemon, edged, long_answer, wait_until
from tools.board_processes import write_config

pytestmark = pytest.mark.broker

PROMPT = {"prompt": "truck at door 4", "schema": long_answer(30), "receipt": True}
# A second of the simulated engine: time enough to order something meanwhile.
LONG = {"prompt": "x", "schema": long_answer(500), "stream": True}
SECTIONS = {"model": {"context_tokens": 2048}}


@pytest.fixture
def quiet_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of a test's own: two daemons of one name would take each other's session."""
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Daemon]:
    """A daemon that several tests order about; each leaves it serving."""
    with Daemon(tmp_path_factory.mktemp("board"), broker, sections=SECTIONS) as daemon:
        daemon.wait_for_log("connected to the broker")
        daemon.wait_for_log("is resident")
        yield daemon


def ordered(daemon: Daemon, *words: str) -> dict[str, Any]:
    """Return what a command that must succeed tells machines."""
    done = edged(daemon, *words, "--json")
    assert done.code == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def connected(daemon: Daemon) -> socket.socket:
    """Return a connection to the daemon's socket."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(30)
    connection.connect(str(daemon.state_dir / "admin.sock"))
    return connection


def answer_to(connection: socket.socket, line: bytes) -> dict[str, Any]:
    """Return the answer to a line."""
    connection.sendall(line)
    with connection.makefile("rb") as lines:
        answer: dict[str, Any] = json.loads(lines.readline())
    return answer


def test_status_tells_a_person_how_the_board_is(board: Daemon) -> None:
    command = [sys.executable, "-m", "edged", "status", "--config", str(board.config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "serving" in done.stdout
    assert "0 queued, 0 running" in done.stdout
    assert "4 W over 10 s" in done.stdout


def test_status_tells_machines_what_the_retained_state_says(
    board: Daemon, broker: Mosquitto
) -> None:
    told = ordered(board, "status")["state"]
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/state")
        retained = device.next(lambda state: state["model"] is not None)
    assert told["service"] == {"mode": "serving", "set_by": "config", "until": None}
    assert set(told) == set(retained)
    assert told["model"] == retained["model"]


def test_the_socket_is_the_users_and_the_groups(board: Daemon) -> None:
    assert (board.state_dir / "admin.sock").stat().st_mode & 0o777 == 0o660


def test_several_lines_are_answered_on_one_connection(board: Daemon) -> None:
    with connected(board) as connection:
        first = answer_to(connection, b'{"command":"status"}\n')
        second = answer_to(connection, b'{"command":"status"}\n')
    assert first["state"]["node"] == second["state"]["node"] == "edge-1"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"status\n", "JSON"),
        (b'{"command":"reboot"}\n', "reboot"),
        (b'{"command":"status","verbose":true}\n', "verbose"),
        (b'{"command":"pause","for_s":0}\n', "for_s"),
        (b'{"command":"pause","for_s":1e9}\n', "for_s"),
        (b'{"command":"pause","for_s":"60"}\n', "for_s"),
        (b'{"command":"pause","for_s":NaN}\n', "for_s"),
        (b"\xff\n", "JSON"),
        (b"\n", "JSON"),
    ],
)
def test_a_line_that_is_no_order_is_refused_by_name(board: Daemon, line: bytes, word: str) -> None:
    with connected(board) as connection:
        answer = answer_to(connection, line)
        after = answer_to(connection, b'{"command":"status"}\n')
    assert (answer["reason"], answer["state"]) == ("malformed", None)
    assert word in answer["detail"]
    assert after["state"]["service"]["mode"] == "serving"


def test_a_line_over_the_limit_is_refused_and_ends_the_connection(board: Daemon) -> None:
    with connected(board) as connection:
        answer = answer_to(connection, b"x" * (ASK_BYTES_MAX + 100))
        assert connection.recv(1) == b""
    assert (answer["reason"], answer["detail"]) == ("malformed", "a line has at most 4096 bytes")


def test_more_connections_than_a_board_needs_are_sent_away(board: Daemon) -> None:
    with connected(board) as first:
        others = [connected(board) for _ in range(8)]
        with closing(others[-1].makefile("rb")) as lines:
            answer = json.loads(lines.readline())
        for other in others:
            other.close()
        assert answer_to(first, b'{"command":"status"}\n')["reason"] is None
    assert answer["reason"] == "busy"


def test_the_kernel_says_who_is_on_the_other_side() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_of(ours) == Peer(os.getuid(), os.getgid())


@pytest.mark.parametrize(
    ("peer", "mode", "may"),
    [
        (Peer(0, 0), 0o600, True),
        (Peer(4242, 4242), 0o600, True),
        (Peer(4243, 4242), 0o600, False),
        (Peer(4243, 4242), 0o660, True),
        (Peer(4243, 4243), 0o660, False),
    ],
)
def test_root_the_own_user_and_by_mode_the_group_may(peer: Peer, mode: int, may: bool) -> None:
    assert is_allowed(peer, own=Peer(4242, 4242), mode=mode) is may


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_a_stranger_is_refused_though_the_files_permissions_let_it_in(
    quiet_broker: Mosquitto,
) -> None:
    script = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "connection = socket.socket(socket.AF_UNIX)\n"
        "connection.connect(sys.argv[1])\n"
        "print(connection.makefile().readline())\n"
    )
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder), quiet_broker) as daemon:
        daemon.wait_for_log("connected to the broker")
        path = daemon.state_dir / "admin.sock"
        command = [sys.executable, "-c", script, str(path)]
        kept_out = subprocess.run(command, capture_output=True, text=True, timeout=60)
        Path(folder).chmod(0o755)
        path.chmod(0o666)
        let_in = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "PermissionError" in kept_out.stderr
    assert json.loads(let_in.stdout)["reason"] == "not_allowed"


def test_without_a_daemon_a_command_says_where_it_looked(tmp_path: Path) -> None:
    missing = tmp_path / "none.sock"
    command = [sys.executable, "-m", "edged", "status", "--socket", str(missing)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert str(missing) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("status",), ("drain",), ("budget", "3.0")])
def test_an_order_for_another_board_of_this_machine_is_not_obeyed(
    board: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    other = write_config(tmp_path, admin={"socket": str(board.state_dir / "admin.sock")})
    assert main([*words, "--config", str(other)]) == 1
    assert f"not in {tmp_path}; is `edged run` up" in capsys.readouterr().err


def test_a_command_looks_in_the_state_directory_then_where_the_units_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(client, "OF_THE_UNITS", tmp_path / "run" / "admin.sock")
    settings = placed(Config(), tmp_path / "state", None)
    own = tmp_path / "state" / "admin.sock"
    assert client.socket_path(settings) == own
    (tmp_path / "run").mkdir()
    assert client.socket_path(settings) == tmp_path / "run" / "admin.sock"
    own.parent.mkdir()
    own.touch()
    assert client.socket_path(settings) == own


def test_a_paused_board_takes_prompts_ends_what_runs_and_starts_nothing(
    board: Daemon, broker: Mosquitto
) -> None:
    with Asker(broker) as device:
        device.listen()
        device.ask(LONG, "runs")
        device.next(lambda reply: reply["event"] == "chunk")
        told = ordered(board, "pause")
        device.ask(PROMPT, "waits")
        accepted = device.next(lambda reply: reply["id"] == "waits")
        assert device.outcome("runs")["event"] == "done"
        queue = ordered(board, "status")["state"]["queue"]
        ordered(board, "resume")
        assert device.outcome("waits")["event"] == "done"
    assert (queue["queued"], queue["running"]) == (1, 0)
    assert told["state"]["service"]["mode"] == "paused"
    assert told["state"]["service"]["set_by"] == Peer(os.getuid(), os.getgid()).name
    assert accepted["event"] == "accepted"
    assert accepted.get("estimated_s") is None


def test_a_draining_board_refuses_new_prompts_and_answers_those_it_took(
    board: Daemon, broker: Mosquitto
) -> None:
    with Asker(broker) as device:
        device.listen()
        device.ask(LONG, "taken")
        device.next(lambda reply: reply["event"] == "chunk")
        ordered(board, "drain")
        device.ask(PROMPT, "late")
        refused = device.next(lambda reply: reply["id"] == "late")
        device.ask(LONG, "taken")  # the same again: known, so not refused
        outcome = device.outcome("taken")
        assert edged(board, "drain", "--wait").code == 0
        ordered(board, "resume")
        device.ask(PROMPT, "late")
        again = device.outcome("late")
        device.drain()
    assert (refused["event"], refused["status"], refused["reason"]) == ("refused", 503, "draining")
    assert (outcome["event"], again["event"]) == ("done", "done")
    assert "refused" not in device.events("taken")


def test_a_pause_for_a_time_ends_by_itself(board: Daemon, broker: Mosquitto) -> None:
    with Asker(broker) as device:
        device.listen()
        told = ordered(board, "pause", "--for", "2s")
        device.ask(PROMPT, "patient")
        assert device.outcome("patient")["event"] == "done"
    assert 0 < told["left_s"]["service"] <= 2
    assert ordered(board, "status")["state"]["service"]["mode"] == "serving"


def test_a_pause_can_be_waited_for(board: Daemon, broker: Mosquitto) -> None:
    with Asker(broker) as device:
        device.listen()
        device.ask(LONG, "waited")
        device.next(lambda reply: reply["event"] == "chunk")
        assert edged(board, "pause", "--wait").code == 0
        left = ordered(board, "status")["state"]["queue"]["running"]
        ordered(board, "resume")
        assert device.outcome("waited")["event"] == "done"
    assert left == 0


def test_a_pause_outlives_a_kill_and_is_said_in_the_retained_state(
    quiet_broker: Mosquitto, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "d", quiet_broker) as daemon, Asker(quiet_broker) as device:
        daemon.wait_for_log("connected to the broker")
        device.listen()
        ordered(daemon, "pause", "--for", "1h")
        device.ask(PROMPT, "kept")
        device.next(lambda reply: reply["event"] == "accepted")
        daemon.kill()
        daemon.start()
        with Asker(quiet_broker) as fleet:
            fleet.subscribe(f"{BOARD}/state")
            state = fleet.next(lambda reply: reply.get("boot") == 2)
        told = ordered(daemon, "status")
        assert told["state"]["queue"]["queued"] == 1
        ordered(daemon, "resume")
        assert device.outcome("kept")["event"] == "done"
    assert state["service"]["mode"] == "paused"
    assert 3000 < told["left_s"]["service"] <= 3600


def test_an_order_that_the_disk_will_not_keep_acts_and_says_so(
    quiet_broker: Mosquitto, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "d", quiet_broker) as daemon:
        daemon.wait_for_log("connected to the broker")
        (daemon.state_dir / "orders.new").mkdir()  # as good as a disk that refuses
        told = ordered(daemon, "pause")
    assert told["state"]["service"]["mode"] == "paused"
    assert told["warning"].startswith("not kept over a restart")


def test_a_clean_stop_removes_the_socket(quiet_broker: Mosquitto, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "d", quiet_broker)
    with daemon:
        path = daemon.state_dir / "admin.sock"
        wait_until(path.exists, "the socket")
        daemon.wait_for_log("connected to the broker")
        assert daemon.stop() == 0
        assert not path.exists()


VIRTUAL: dict[str, dict[str, Any]] = {
    "engine": {"virtual_board": "rk3588"},
    "power": {"peak_w": 5.0},
}


def test_a_budget_is_held_said_kept_over_a_kill_and_reset(
    quiet_broker: Mosquitto, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "d", quiet_broker, sections=VIRTUAL) as daemon:
        daemon.wait_for_log("connected to the broker")
        given = ordered(daemon, "budget", "3.0", "--for", "2h")
        daemon.kill()
        daemon.start()
        with Asker(quiet_broker) as fleet:
            fleet.subscribe(f"{BOARD}/state")
            state = fleet.next(lambda reply: reply.get("boot") == 2)
        shown = edged(daemon, "budget").stdout
        told = ordered(daemon, "status")
        reset = ordered(daemon, "budget", "reset")["state"]["power"]
    power = state["power"]
    assert given["state"]["power"]["limit_w"] == power["limit_w"] == power["budget_w"] == 3.0
    assert power["set_by"] == Peer(os.getuid(), os.getgid()).name
    assert (power["peak_w"], power["schedule"]) == (5.0, None)
    assert 7000 < told["left_s"]["budget"] <= 7200
    assert "3 W over 10 s, 5 W over 1 s, set by" in shown
    assert (reset["limit_w"], reset["set_by"], reset["until"]) == (4.0, "config", None)


def test_a_budget_above_the_configured_peak_needs_a_peak_of_its_own(
    quiet_broker: Mosquitto, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "d", quiet_broker, sections=VIRTUAL) as daemon:
        daemon.wait_for_log("connected to the broker")
        refused = edged(daemon, "budget", "6.0")
        power = ordered(daemon, "budget", "6.0", "--peak", "7.5")["state"]["power"]
    assert refused.code == 1
    assert "raise the one or lower the other" in refused.stderr
    assert (power["limit_w"], power["peak_w"]) == (6.0, 7.5)


@pytest.mark.parametrize("words", [["--for", "2h"], ["reset", "--for", "2h"], ["--peak", "5"]])
def test_what_belongs_to_watts_is_refused_without_them(board: Daemon, words: list[str]) -> None:
    done = edged(board, "budget", *words)
    assert done.code == 1
    assert "belong to watts" in done.stderr
