"""Both units in a booted system: what they promise, and what each setting left open is open for.

One system serves all tests of this file, as one board does; each leaves it serving.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.booted_debian import ASK, BOOTS, Booted, answered, booted, wait_online
from tests.golden_tree import tree
from tests.sysfs_plant import CAPS

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


def test_an_engine_that_begins_anew_is_the_same_process_to_systemd_and_in_its_sandbox(
    board: Booted,
) -> None:
    answered(board, "before-anew")
    before, loads = confined(board), times_resident(board)
    board.shell(f"kill -USR1 {board.main_pid(ENGINE)}")
    board.until(lambda: times_resident(board) > loads, "the model was loaded again")
    assert (answered(board, "after-anew"), confined(board)) == ("done", before)
    assert before["ActiveState"] == "active"
    assert before["confined"] == "NoNewPrivs:\t1\nSeccomp:\t2"


def test_an_engine_that_begins_anew_while_it_loads_says_ready_to_systemd(board: Booted) -> None:
    board.shell(f"systemctl stop {ENGINE}; systemctl start --no-block {ENGINE}")
    board.shell("until test -S /run/edged/engine.sock; do sleep 0.01; done")
    loading = board.main_pid(ENGINE)
    board.shell(f"kill -USR1 {loading}")
    assert answered(board, "anew-while-loading") == "done"
    board.until(lambda: board.show(ENGINE, "ActiveState") == "active", "READY was heard")
    assert [board.show(ENGINE, key) for key in ("MainPID", "NRestarts")] == [loading, "0"]


def test_prompts_wait_for_the_restart_of_an_engine_that_is_two_releases_away(
    board: Booted,
) -> None:
    board.shell(OTHER_RELEASE)
    try:
        board.shell(f"systemctl daemon-reload; systemctl restart {DAEMON}")
        board.until(lambda: "engine_restart_needed" in status(board), "it is said")
        told = status(board)
        asking = ASK.format(id="far", wait_s=90)
        board.shell(f"{asking} > /run/far.json 2>&1 &")
        board.until(lambda: "1 queued" in status(board), "the prompt waits")
        board.shell(f"systemctl restart {ENGINE}")
        board.until(lambda: '"event":"done"' in board.shell("cat /run/far.json"), "the answer")
        after = status(board)
    finally:
        board.shell(f"rm -r /run/systemd/system/{DAEMON}.d /run/systemd/system/{ENGINE}.d")
        board.shell(f"systemctl daemon-reload; systemctl restart {DAEMON} {ENGINE}")
        wait_online(board)
    assert f"sudo systemctl restart {ENGINE}" in told
    assert "engine_restart_needed" not in after


def test_a_killed_daemon_comes_back_and_answers(board: Booted) -> None:
    board.shell(f"kill -9 {board.main_pid(DAEMON)}")
    assert answered(board, "after-daemon-kill") == "done"


def test_a_daemon_that_makes_no_progress_is_replaced(board: Booted) -> None:
    stopped = board.main_pid(DAEMON)
    board.shell(f"kill -STOP {stopped}")
    board.until(lambda: board.main_pid(DAEMON) not in ("0", stopped), "another daemon", 90)
    assert "watchdog" in board.shell(f"journalctl -u {DAEMON} --no-pager | tail -50").lower()


def test_the_clocks_of_a_killed_engine_are_given_back_by_its_unit_and_capped_when_it_is_back(
    board: Booted,
) -> None:
    with capped(board) as full:
        assert answered(board, "capped") == "done"
        assert caps(board) != full
        # The daemon would give them back too.
        daemon, engine = board.main_pid(DAEMON), board.main_pid(ENGINE)
        board.shell(f"kill -STOP {daemon}; kill -9 {engine}")
        board.until(lambda: caps(board) == full, "the clocks are given back", 15)
        board.shell(f"kill -CONT {daemon}")
        board.until(lambda: caps(board) != full, "the next engine is capped")
        assert answered(board, "capped-again") == "done"
        board.shell(f"systemctl stop {ENGINE}")
        board.until(lambda: caps(board) == full, "a stopped engine's clocks are given back")


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


# A board's meter and clocks as files, which both sandboxes let edged write as they do /sys.
ON_A_BOARD = """
chown -R edged:edged /srv/sys
cp /etc/edged/edged.toml /run/good.toml
sed -i -e 's,^# sysfs =.*,sysfs = "/srv/sys",' -e 's/^budget_w =.*/budget_w = 2.5/' \\
    /etc/edged/edged.toml
for unit in edged.service edged-engine.service; do
    mkdir -p /run/systemd/system/$unit.d
    printf '[Service]\\nReadWritePaths=/srv/sys\\n' > /run/systemd/system/$unit.d/tree.conf
done
systemctl daemon-reload
systemctl restart edged.service edged-engine.service
"""
OFF_THE_BOARD = """
cp /run/good.toml /etc/edged/edged.toml
rm -r /run/systemd/system/edged.service.d /run/systemd/system/edged-engine.service.d /srv/sys
systemctl daemon-reload
systemctl restart edged.service edged-engine.service
"""
# A release two versions on, in which both units are to start next.
OTHER_RELEASE = """
mkdir -p /opt/other && cp -r /opt/edged/edged /opt/other/
echo 'PROTOCOL_VERSION += 2' >> /opt/other/edged/engine/protocol.py
sed "s,'/opt/edged','/opt/other'," /opt/edged/.venv/bin/edged > /opt/other/start
chmod -R a+rX /opt/other && chmod a+x /opt/other/start
for part in edged.service=run edged-engine.service=engine; do
    start="/opt/other/start ${part#*=} --config /etc/edged/edged.toml"
    mkdir -p /run/systemd/system/${part%=*}.d
    printf '[Service]\\nExecStart=\\nExecStart=%s\\n' "$start" \\
        > /run/systemd/system/${part%=*}.d/other.conf
done
"""
SECRET = """
install -d -m 700 /etc/credstore
(umask 077; echo secret > /etc/credstore/edged.password)
cp /etc/edged/edged.toml /run/good.toml
sed -i -e 's/^# username =.*/username = "edge-1"/' \\
    -e 's/^# password_file =.*/password_file = "credential:edged.password"/' /etc/edged/edged.toml
grep -q '^password_file = "credential' /etc/edged/edged.toml
"""
READ = ("cat", f"/run/credentials/{DAEMON}/edged.password")


def confined(board: Booted) -> dict[str, str]:
    """Return what systemd and the kernel say of the engine's process."""
    keys = ("MainPID", "ActiveState", "SubState", "NRestarts", "StatusText")
    engine = board.main_pid(ENGINE)
    held = board.shell(f"grep -E '^(NoNewPrivs|Seccomp):' /proc/{engine}/status")
    return {key: board.show(ENGINE, key) for key in keys} | {"confined": held}


@contextmanager
def capped(board: Booted) -> Iterator[list[str]]:
    """Let edged find a board under a small budget for a while; yield its caps from before."""
    tree(board.file("/srv/sys"), "orangepi_5", "orangepi_5.ina226")
    full = caps(board)
    board.shell(ON_A_BOARD)
    try:
        board.until(lambda: caps(board) != full, "the clocks are capped")
        yield full
    finally:
        board.shell(OFF_THE_BOARD)
        wait_online(board)


def caps(board: Booted) -> list[str]:
    """Return what the files of the clock limits say."""
    return [(board.file("/srv/sys") / cap).read_text().strip() for cap in CAPS]


def times_resident(board: Booted) -> int:
    """Return how often the daemon was told that the model is loaded."""
    return int(board.shell(f"journalctl -u {DAEMON} --no-pager | grep -c 'is resident'"))


def status(board: Booted) -> str:
    """Return what `edged status` says; nothing while no daemon answers."""
    return board.run("/opt/edged/.venv/bin/edged", "status").stdout


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
