"""Both units in a booted system: what they promise, and what each setting left open is open for.

One system serves all tests of this file, as one board does; each leaves it serving.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.booted_debian import BOOTS, Booted, answered, booted

pytestmark = BOOTS
DAEMON, ENGINE = "edged.service", "edged-engine.service"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    with booted(tmp_path_factory.mktemp("boot")) as one:
        yield one


def test_a_prompt_is_answered(board: Booted) -> None:
    assert answered(board, "first") == "done"


def test_a_restart_of_the_daemon_keeps_the_model_loaded(board: Booted) -> None:
    answered(board, "before-restart")
    engine = board.main_pid(ENGINE)
    board.shell(f"systemctl restart {DAEMON}")
    assert (answered(board, "after-restart"), board.main_pid(ENGINE)) == ("done", engine)


def test_a_killed_engine_comes_back_and_answers(board: Booted) -> None:
    answered(board, "before-kill")
    board.shell(f"kill -9 {board.main_pid(ENGINE)}")
    assert answered(board, "after-kill") == "done"


def test_a_killed_daemon_comes_back_and_answers(board: Booted) -> None:
    board.shell(f"kill -9 {board.main_pid(DAEMON)}")
    assert answered(board, "after-daemon-kill") == "done"


def test_a_daemon_that_makes_no_progress_is_replaced(board: Booted) -> None:
    stopped = board.main_pid(DAEMON)
    board.shell(f"kill -STOP {stopped}")
    board.until(lambda: board.main_pid(DAEMON) not in ("0", stopped), "another daemon", 90)
    assert "watchdog" in board.shell(f"journalctl -u {DAEMON} --no-pager | tail -50").lower()


def test_a_broker_restart_is_lived_through(board: Booted) -> None:
    board.shell("systemctl restart mosquitto.service")
    assert answered(board, "after-broker") == "done"


def test_a_bad_configuration_is_not_tried_again(board: Booted) -> None:
    board.shell("cp /etc/edged/edged.toml /run/good.toml; echo 'prot = 1' >> /etc/edged/edged.toml")
    board.shell(f"systemctl restart {DAEMON} || true")
    board.until(lambda: board.show(DAEMON, "ActiveState") == "failed", "the unit failed")
    code = board.show(DAEMON, "ExecMainStatus")
    board.shell(f"cp /run/good.toml /etc/edged/edged.toml; systemctl restart {DAEMON}")
    assert (code, board.show(DAEMON, "ActiveState")) == ("78", "active")


@pytest.mark.parametrize(
    ("unit", "setting"),
    [
        (DAEMON, "PrivateNetwork=yes"),
        (DAEMON, "RestrictAddressFamilies=~AF_INET"),
        (DAEMON, "RestrictAddressFamilies=~AF_UNIX"),
        (DAEMON, "ProcSubset=pid"),
        (ENGINE, "RestrictAddressFamilies=none"),
    ],
)
def test_without_what_is_left_open_no_prompt_is_answered(
    board: Booted, unit: str, setting: str
) -> None:
    id = "".join(letter for letter in f"{unit}{setting}" if letter.isalnum())
    with closed(board, unit, setting):
        assert answered(board, id, wait_s=20) != "done"


def test_the_engine_sees_how_much_memory_is_free(board: Booted) -> None:
    answered(board, "memory")
    open_told = free_memory(board)
    with closed(board, ENGINE, "ProcSubset=pid"):
        answered(board, "no-memory")
        assert ("MemAvailable" in open_told, free_memory(board)) == (True, "")


def test_an_operator_may_give_orders_because_the_daemon_sees_who_it_is(board: Booted) -> None:
    seen = ordered_by_an_operator(board)
    with closed(board, DAEMON, "PrivateUsers=yes"):
        unseen = ordered_by_an_operator(board)
    assert (seen, unseen == 0) == (0, False)


def test_a_password_of_the_credential_store_reaches_the_daemon_and_nobody_else(
    board: Booted,
) -> None:
    board.shell(SECRET)
    try:
        board.shell(f"systemctl restart {DAEMON}")
        event = answered(board, "credential")
        reads = [
            board.run("runuser", "-u", user, "--", *READ).stdout for user in ("edged", "daemon")
        ]
        kept = board.run("runuser", "-u", "edged", "--", "cat", "/etc/credstore/edged.password")
    finally:
        board.shell(f"cp /run/good.toml /etc/edged/edged.toml; systemctl restart {DAEMON}")
    assert (event, reads, kept.stdout) == ("done", ["secret\n", ""], "")


SECRET = """
install -d -m 700 /etc/credstore
(umask 077; echo secret > /etc/credstore/edged.password)
cp /etc/edged/edged.toml /run/good.toml
sed -i -e 's/^# username =.*/username = "edge-1"/' \\
    -e 's/^# password_file =.*/password_file = "credential:edged.password"/' /etc/edged/edged.toml
grep -q '^password_file = "credential' /etc/edged/edged.toml
"""
READ = ("cat", f"/run/credentials/{DAEMON}/edged.password")


def free_memory(board: Booted) -> str:
    """Return /proc/meminfo as the engine sees it."""
    return board.run("nsenter", "-t", board.main_pid(ENGINE), "-m", "cat", "/proc/meminfo").stdout


def ordered_by_an_operator(board: Booted) -> int:
    """Give an order as a user who is in edged's group; return the exit code."""
    board.shell("id dockhand 2>/dev/null || useradd --groups edged dockhand")
    edged = ("/opt/edged/.venv/bin/edged", "budget", "3.5", "--for", "1h")
    return board.run("runuser", "-u", "dockhand", "--", *edged).returncode


@contextmanager
def closed(board: Booted, unit: str, setting: str) -> Iterator[None]:
    """Close one more setting of a unit for a while."""
    folder = f"/run/systemd/system/{unit}.d"
    board.shell(f"mkdir -p {folder}; printf '[Service]\\n{setting}\\n' > {folder}/closed.conf")
    restart = f"systemctl daemon-reload; systemctl restart {unit} || true"
    board.shell(restart)
    try:
        yield
    finally:
        board.shell(f"rm {folder}/closed.conf; {restart}; systemctl start {ENGINE} || true")
        answered(board, f"open-{abs(hash(unit + setting))}")
