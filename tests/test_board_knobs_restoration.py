"""The values from before come back, whoever gives them back, and no others. Method: golden trees.

A fault is a real one: mode bits for another user, a folder in place of a file, a daemon that is
killed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.__main__ import main
from edged.board.knobs.kernel import KernelKnobs
from edged.board.knobs.restore import restore_clocks
from edged.board.knobs.saved import CAP_PATH, FILE, SavedClocks, boot_id
from edged.board.soc import RK3588, Clocks, Point, operating_points
from edged.errors import KnobRefused
from tests.golden_tree import as_nobody, tree
from tests.golden_tree import open_folder as open_folder
from tests.knobs_fixtures import BEFORE, BOOT, FULL, NPU, SLOW, counts, knobs, restore
from tests.knobs_fixtures import root as root
from tests.knobs_fixtures import state as state
from tests.memory import tmp_path as tmp_path


def test_the_old_values_come_back(root: Path, state: Path) -> None:
    found = knobs(root, state)
    found.set_clocks(SLOW)
    found.restore()
    assert counts(root) == BEFORE
    assert not (state / FILE).exists()


def test_after_a_kill_the_command_gives_them_back(root: Path, state: Path) -> None:
    cap = (
        "import os, signal, sys; from pathlib import Path\n"
        "from edged.board.knobs.kernel import KernelKnobs; from edged.board.soc import Clocks\n"
        "root, state = map(Path, sys.argv[1:])\n"
        "KernelKnobs.discover(root, state).set_clocks(Clocks(5e8, 1.2e9, 1.068e9))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", cap, root, state], check=False)
    assert (killed.returncode, counts(root)[NPU]) == (-signal.SIGKILL, 500000000)
    command = [sys.executable, "-m", "edged", "restore-clocks"]
    command += ["--state-dir", str(state), "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert counts(root) == BEFORE
    assert f"{NPU}: restored" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == "no clock is capped by edged\n"


def test_the_command_gives_back_the_clocks_of_the_configured_tree(
    root: Path, state: Path, tmp_path: Path
) -> None:
    file = tmp_path / "edged.toml"
    file.write_text(f'[node]\nstate_dir = "{state}"\n[power]\nsysfs = "{root}"\n')
    KernelKnobs.discover(root, state).set_clocks(SLOW)
    assert main(["restore-clocks", "--config", str(file)]) == 0
    assert counts(root) == BEFORE


def test_another_process_gives_them_back(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(SLOW)
    assert set(restore(root, state)) == set(BEFORE)
    assert counts(root) == BEFORE


def test_a_daemon_that_restarts_keeps_the_caps_and_the_old_values(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(SLOW)
    capped = counts(root)
    another = knobs(root, state)
    assert counts(root) == capped
    another.set_clocks(Clocks(npu_hz=700e6, cpu_hz=1608e6, ddr_hz=1560e6))
    another.restore()
    assert counts(root) == BEFORE


def test_the_caps_are_written_again_when_the_engine_is_back(root: Path, state: Path) -> None:
    found = knobs(root, state)
    found.set_clocks(SLOW)
    restore(root, state)
    found.set_clocks(SLOW)
    assert counts(root)[NPU] == 500000000
    restore(root, state)
    assert counts(root) == BEFORE


def test_restoring_twice_changes_nothing_the_second_time(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(SLOW)
    restore(root, state)
    (root / NPU).write_text("800000000\n")  # somebody's own cap, set since
    assert restore(root, state) == ()
    assert counts(root)[NPU] == 800000000


def test_after_a_reboot_the_saved_values_are_void(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(SLOW)
    (root / NPU).write_text("900000000\n")
    assert restore_clocks(root, SavedClocks(state, "the next boot")).back == ()
    assert counts(root)[NPU] == 900000000
    assert not (state / FILE).exists()


def test_this_machine_names_its_boot(tmp_path: Path) -> None:
    assert len(boot_id()) == 36
    assert boot_id(tmp_path / "none") == "unknown"


def test_a_cap_that_may_not_be_taken_back_now_is_kept_for_later(open_folder: Path) -> None:
    root, state = tree(open_folder / "sys", "rock_5b"), open_folder
    found = knobs(root, state)
    found.set_clocks(SLOW)
    (root / NPU).chmod(0o444)
    with as_nobody(), pytest.raises(KnobRefused):
        found.set_clocks(FULL)
    (root / NPU).chmod(0o644)
    restore(root, state)
    assert counts(root) == BEFORE


def test_clocks_that_were_restored_beside_a_running_daemon_can_be_restored_again(
    root: Path, state: Path
) -> None:
    found = knobs(root, state)
    found.set_clocks(SLOW)
    assert len(restore(root, state)) == len(BEFORE)
    found.check(is_busy=False)
    assert counts(root)[NPU] == 500000000
    restore(root, state)
    assert counts(root) == BEFORE


def test_what_cannot_be_restored_is_kept_for_the_next_time(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(SLOW)
    (root / NPU).unlink()
    (root / NPU).mkdir()
    done = restore_clocks(root, SavedClocks(state, BOOT))
    assert [name for name, _ in done.kept] == [NPU]
    (root / NPU).rmdir()
    (root / NPU).write_text("500000000\n")
    assert restore(root, state) == (NPU,)
    assert counts(root) == BEFORE


@pytest.mark.parametrize(
    "name",
    [
        "class/devfreq/../../../etc/max_freq",
        "class/devfreq/.hidden/max_freq",
        "class/devfreq/a/b/max_freq",
        "devices/system/cpu/cpufreq/policy4/scaling_min_freq",
        "kernel/debug/rknpu/freq",
        "/etc/passwd",
    ],
)
def test_a_saved_file_can_name_clock_caps_only(root: Path, state: Path, name: str) -> None:
    told = {"boot": BOOT, "values": {name: 1, NPU: 900000000}}
    (state / FILE).write_text(json.dumps(told))
    assert SavedClocks(state, BOOT).read() == {NPU: 900000000}
    assert CAP_PATH.fullmatch(name) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"boot": "this boot"}', '{"boot": "this boot", "values": 3}']
)
def test_a_broken_saved_file_restores_nothing(root: Path, state: Path, text: str) -> None:
    (state / FILE).write_text(text)
    assert restore(root, state) == ()
    assert counts(root) == BEFORE


@pytest.mark.parametrize("value", ["-1", "true", "1.5", '"9"', "null"])
def test_a_saved_value_is_a_count(root: Path, state: Path, value: str) -> None:
    (state / FILE).write_text(f'{{"boot": "{BOOT}", "values": {{"{NPU}": {value}}}}}')
    assert SavedClocks(state, BOOT).read() == {}


@given(st.lists(st.sampled_from([*operating_points(RK3588)]), min_size=1, max_size=5))
def test_whatever_was_capped_the_old_values_come_back(
    tmp_path_factory: pytest.TempPathFactory, points: list[Point]
) -> None:
    folder = tmp_path_factory.mktemp("capped")
    root = tree(folder / "sys", "rock_5b")
    found = knobs(root, folder)
    for point in points:
        found.set_clocks(point.clocks)
    restore(root, folder)
    assert counts(root) == BEFORE
