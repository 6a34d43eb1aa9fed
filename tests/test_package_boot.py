"""The Debian package on a booted system without network: install, upgrade, downgrade, remove.

One system serves most tests; each leaves it serving. What ends in a state that no package leads
back from has a system of its own. `tools/first-answer` times the installation.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.booted_debian import BOOTS, ROOT, Booted, answered, machine, wait_online
from tests.package_fixtures import EPOCH_S, build, edged_wheel, target_here, wheels_of_others
from tests.store_fixtures import new_signer, sign, trusting
from tools.package.bundle import write_bundle
from tools.verify_bundle import SIGNATURE

pytestmark = BOOTS
DAEMON, ENGINE = "edged.service", "edged-engine.service"
BROUGHT = ("/usr/lib/edged", "/usr/bin/edged", f"/usr/lib/systemd/system/{DAEMON}", "/run/edged")
PACKAGES = Path("/packages")
# While it is upgraded, so many wait for their outcome, and as many again come.
IN_FLIGHT, PROMPTS = 1000, 3000
APT = "DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends -o Dpkg::Use-Pty=0"
# By name: what differs from this checkout.
CHANGES: dict[str, dict[str, str]] = {
    "this": {},
    "daemon": {"edged/daemon.py": "# another daemon\n"},
    "engine": {"edged/engine/worker.py": "# another engine\n"},
    "schema": {"edged/spool/schema.py": 'SCHEMA_VERSION = 3\n_STEPS[2] = "SELECT 1;"\n'},
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Packages of growing revisions, by what they change."""
    folder, target = tmp_path_factory.mktemp("packages"), target_here()
    rest = wheels_of_others(target, edged_wheel(folder / "plain"))
    return {
        name: build(
            [edged_wheel(folder / name, change), *rest], folder, target=target, revision=number
        )
        for number, (name, change) in enumerate(CHANGES.items(), start=1)
    }


@pytest.fixture(scope="module")
def bundle(packages: Mapping[str, Path]) -> Path:
    """A signed bundle with the package, unpacked beside it, where key and script lie too."""
    folder = packages["this"].parent
    tar = write_bundle({packages["this"].name: packages["this"]}, folder, EPOCH_S)
    subprocess.run(["tar", "-xf", tar, "-C", folder], check=True)
    signer = new_signer()
    trusting(folder, signer)
    (folder / "verify_bundle.py").write_bytes((ROOT / "tools/verify_bundle.py").read_bytes())
    return sign(folder / tar.stem, signer, SIGNATURE)


@contextmanager
def fresh(folder: Path, packages: Mapping[str, Path]) -> Iterator[Booted]:
    """Boot a system without edged that sees the packages."""
    with machine(folder, {PACKAGES: packages["this"].parent}) as one:
        one.shell("systemctl start mosquitto.service")
        yield one


@pytest.fixture(scope="module")
def board(
    packages: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Booted]:
    with fresh(tmp_path_factory.mktemp("board"), packages) as one:
        put(one, packages["this"])
        wait_online(one)
        yield one


def put(one: Booted, package: Path) -> str:
    """Install a package over whichever is there; return what apt says."""
    done = apt(one, f"install --reinstall --allow-downgrades {PACKAGES / package.name}")
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def apt(one: Booted, words: str) -> subprocess.CompletedProcess[str]:
    """Run apt-get inside."""
    return one.run("sh", "-c", f"{APT} {words}", within_s=600)


def version(one: Booted) -> str:
    """Return the version that is installed."""
    return one.shell("dpkg-query -W -f '${Version}' edged")


@contextmanager
def asking(one: Booted, client: str) -> Iterator[dict[str, Any]]:
    """Keep the board busy meanwhile; the table has the outcomes afterwards."""
    command = ["nsenter", f"--target={one.leader}", "--net", sys.executable, "-m"]
    command += ["tests.many_prompts", str(PROMPTS), str(IN_FLIGHT), client]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as crowd:
        assert crowd.stdout is not None
        found: dict[str, Any] = {}
        try:
            assert crowd.stdout.readline() == "waiting\n"
            one.until(lambda: unfinished(one) >= 0.9 * IN_FLIGHT, "the board took them")
            yield found
            assert crowd.poll() is None, "all prompts were answered before it was over"
            found |= json.loads(crowd.stdout.readline())
        finally:
            crowd.terminate()


def unfinished(one: Booted) -> int:
    """Return how many prompts the board took that have no outcome yet."""
    queue = json.loads(one.shell("edged status --json"))["state"]["queue"]
    return int(queue["queued"]) + int(queue["running"])


def test_what_apt_installed_answers(board: Booted) -> None:
    assert answered(board, "installed") == "done"


def test_edged_starts_with_the_board(board: Booted) -> None:
    assert board.shell(f"systemctl is-enabled {DAEMON}") == "enabled"


@pytest.mark.parametrize(
    "command",
    [
        "python3 {place}/verify_bundle.py {place}/signer.pem {bundle}",
        "edged bundle verify {bundle} --key {place}/signer.pem",
    ],
)
def test_a_bundle_is_checked_on_the_board(board: Booted, bundle: Path, command: str) -> None:
    said = board.shell(command.format(place=PACKAGES, bundle=PACKAGES / bundle.name))
    assert "2 files, each as" in said


def test_the_firmware_installer_is_there_and_says_what_it_misses(board: Booted) -> None:
    done = board.run("/usr/share/edged/tools/install-firmware-config", "rock-5b", "--dry-run")
    assert (done.returncode, "this is neither Armbian" in done.stderr) == (1, True)


@pytest.mark.parametrize(("changed", "is_kept"), [("daemon", True), ("engine", False)])
def test_an_upgrade_with_1000_prompts_in_flight_loses_refuses_and_repeats_none(
    changed: str, is_kept: bool, board: Booted, packages: Mapping[str, Path]
) -> None:
    put(board, packages["this"])
    answered(board, f"before-{changed}")
    engine, daemon = board.main_pid(ENGINE), board.main_pid(DAEMON)
    with asking(board, changed) as found:
        put(board, packages[changed])
    assert found == {"events": {"done": PROMPTS}, "attempts": {"1": PROMPTS}, "lost": []}
    assert (board.main_pid(ENGINE) == engine, board.main_pid(DAEMON) == daemon) == (is_kept, False)


def test_an_upgrade_leaves_what_an_operator_ordered(
    board: Booted, packages: Mapping[str, Path]
) -> None:
    board.shell("edged pause --for 1h")
    put(board, packages["daemon"])
    told = board.shell("edged status")
    board.shell("edged resume")
    assert "paused, set by root" in told


def test_an_upgrade_leaves_the_configuration(board: Booted, packages: Mapping[str, Path]) -> None:
    board.shell("echo '# ours' >> /etc/edged/edged.toml")
    put(board, packages["daemon"])
    assert board.shell("tail -1 /etc/edged/edged.toml") == "# ours"


def test_an_upgrade_under_a_bad_configuration_says_so_and_edged_is_not_tried_again(
    board: Booted, packages: Mapping[str, Path]
) -> None:
    board.shell("cp /etc/edged/edged.toml /run/good.toml; echo 'prot = 1' >> /etc/edged/edged.toml")
    said = put(board, packages["daemon"])
    failed = [board.show(DAEMON, key) for key in ("ActiveState", "ExecMainStatus", "NRestarts")]
    board.shell(f"cp /run/good.toml /etc/edged/edged.toml; systemctl restart {DAEMON}")
    wait_online(board)
    assert ("broker.prot: unknown key" in said, failed) == (True, ["failed", "78", "0"])


def test_units_that_were_copied_by_hand_are_named(
    board: Booted, packages: Mapping[str, Path]
) -> None:
    board.shell(f"cp /usr/lib/systemd/system/{DAEMON} /etc/systemd/system/")
    said = put(board, packages["daemon"])
    board.shell(f"rm /etc/systemd/system/{DAEMON}; systemctl daemon-reload")
    assert f"/etc/systemd/system/{DAEMON} takes the place of the package's unit" in said


def test_a_downgrade_below_the_spool_is_refused_and_the_board_serves_on(
    packages: Mapping[str, Path], tmp_path: Path
) -> None:
    with fresh(tmp_path, packages) as one:
        put(one, packages["schema"])
        wait_online(one)
        done = apt(one, f"install --allow-downgrades {PACKAGES / packages['this'].name}")
        assert "was written by a newer edged (schema 3, this package knows 2)" in done.stderr
        assert (done.returncode != 0, version(one)) == (True, "0.1.0-4")
        assert answered(one, "after-refusal") == "done"


def test_removal_keeps_the_state_and_a_purge_removes_it(
    packages: Mapping[str, Path], tmp_path: Path
) -> None:
    with fresh(tmp_path, packages) as one:
        put(one, packages["this"])
        wait_online(one)
        apt(one, "remove edged")
        removed = one.run("ls", "-d", *BROUGHT).stdout
        put(one, packages["this"])
        state = json.loads(one.shell("edged status --json"))["state"]
        apt(one, "purge edged")
        purged = one.run("ls", "-d", "/var/lib/edged", "/etc/edged", "/run/edged").stdout
    # The spool counts how often it was opened.
    assert (removed, state["boot"], purged) == ("", 2, "")
