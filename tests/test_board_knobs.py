"""Clocks are capped, saved, kept and given back, whatever the kernel does. Method: golden trees.

A fault is a real one: mode bits for another user, a folder or a pipe in place of a file, a file
of /proc that refuses, a terminal that swallows what is written.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.__main__ import main
from edged.board.knobs.cap import Cap, find_caps
from edged.board.knobs.kernel import LEFT_S, KernelKnobs
from edged.board.knobs.restore import restore_clocks
from edged.board.knobs.saved import CAP_PATH, FILE, SavedClocks, boot_id
from edged.board.knobs.watch import CONTEST_S, CONTEST_WRITES, OVER_LOOKS
from edged.board.soc import RK3588, Clocks, Point, operating_points
from edged.errors import KnobRefused
from tests.golden_tree import BOARDS, EACH_BOARD, Deaf, Ticks, as_nobody, tree
from tests.golden_tree import open_folder as open_folder
from tests.memory import tmp_path as tmp_path

SLOW = Clocks(npu_hz=500e6, cpu_hz=1200e6, ddr_hz=1068e6)
FULL = Clocks(npu_hz=1000e6, cpu_hz=2400e6, ddr_hz=2736e6)
NPU = "class/devfreq/fdab0000.npu/max_freq"
DDR = "class/devfreq/dmc/max_freq"
CPU4 = "devices/system/cpu/cpufreq/policy4/scaling_max_freq"
CPU6 = "devices/system/cpu/cpufreq/policy6/scaling_max_freq"
BEFORE = {NPU: 1000000000, DDR: 2112000000, CPU4: 2400000, CPU6: 2400000}
BOOT = "this boot"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path / "sys", "rock_5b")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    found = Deaf("1000000000")
    yield found
    found.close()


def knobs(root: Path, state: Path, clock: Ticks | None = None) -> KernelKnobs:
    saved = SavedClocks(state, BOOT)
    return KernelKnobs(root, find_caps(root), saved, clock=clock or Ticks())


def counts(root: Path) -> dict[str, int]:
    return {name: int((root / name).read_text()) for name in BEFORE}


def faults(found: KernelKnobs) -> dict[str, str]:
    return {domain: trouble.fault for domain, trouble in found.troubles.items()}


def restore(root: Path, state: Path) -> tuple[str, ...]:
    return restore_clocks(root, SavedClocks(state, BOOT)).back


def test_every_clock_is_capped(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(SLOW)
    assert counts(root) == {NPU: 500000000, DDR: 1068000000, CPU4: 1200000, CPU6: 1200000}


@EACH_BOARD
def test_each_board_takes_the_caps_that_it_has(tmp_path: Path, board: str) -> None:
    root = tree(tmp_path / "sys", board)
    found = knobs(root, tmp_path)
    found.set_clocks(SLOW)
    assert found.domains == ({"cpu"} if board == "mainline" else {"npu", "cpu", "ddr"})
    for cap in find_caps(root):
        in_force_hz = cap.in_force_hz()
        assert in_force_hz in cap.steps_hz
        wanted_hz = {"npu": SLOW.npu_hz, "cpu": SLOW.cpu_hz, "ddr": SLOW.ddr_hz}[cap.domain]
        assert in_force_hz is not None
        assert in_force_hz <= wanted_hz


def test_a_clock_that_the_table_lacks_becomes_the_next_one_below(root: Path, state: Path) -> None:
    knobs(root, state).set_clocks(Clocks(npu_hz=850e6, cpu_hz=1e9, ddr_hz=1060e6))
    assert counts(root) == {NPU: 800000000, DDR: 528000000, CPU4: 816000, CPU6: 816000}


@given(st.floats(1e8, 4e9), st.sets(st.sampled_from([3e8, 5e8, 7e8, 9.5e8, 1e9]), min_size=1))
def test_a_step_is_of_the_table_and_not_over_what_was_asked(
    asked_hz: float, table: set[float]
) -> None:
    cap = Cap("npu", Path("x"), "max_freq", "cur_freq", 1.0, tuple(sorted(table)))
    step_hz = cap.step_under(asked_hz)
    assert step_hz in table
    assert step_hz <= asked_hz * 1.001 or step_hz == min(table)


def test_nothing_is_written_before_the_old_values_are_on_disk(root: Path, state: Path) -> None:
    state.rmdir()
    found = knobs(root, state)
    with pytest.raises(KnobRefused, match=r"the state directory does not take clocks\.json"):
        found.set_clocks(SLOW)
    assert (counts(root), set(faults(found).values())) == (BEFORE, {"unsaved"})


def test_discovery_writes_nothing(root: Path, state: Path) -> None:
    found = KernelKnobs.discover(root, state)
    assert found.domains == {"npu", "cpu", "ddr"}
    assert (counts(root), list(state.iterdir())) == (BEFORE, [])


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


def test_a_cap_from_before_stays_the_limit(root: Path, state: Path) -> None:
    (root / NPU).write_text("800000000\n")
    found = knobs(root, state)
    found.set_clocks(FULL)
    assert counts(root)[NPU] == 800000000
    found.restore()
    assert counts(root)[NPU] == 800000000


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("class/thermal/thermal_zone0/temp", "86000\n"),
        ("class/thermal/cooling_device1/cur_state", "3\n"),
    ],
)
def test_a_cap_of_the_heat_is_not_taken_for_the_owners(
    root: Path, state: Path, path: str, text: str
) -> None:
    (root / path).write_text(text)
    (root / NPU).write_text("800000000\n")  # the kernel's own, while it is hot
    found = knobs(root, state)
    found.set_clocks(SLOW)
    found.restore()
    assert counts(root)[NPU] == 1000000000


def test_a_fan_at_work_is_no_cap_of_the_heat(tmp_path: Path, state: Path) -> None:
    root = tree(tmp_path / "mainline", "mainline")  # its fan turns
    (root / CPU4).write_text("1800000\n")
    found = knobs(root, state)
    found.set_clocks(SLOW)
    found.restore()
    assert int((root / CPU4).read_text()) == 1800000


def test_a_lower_cap_of_the_kernel_is_no_fault(root: Path, state: Path, deaf: Deaf) -> None:
    hot = Deaf("400000000")
    hot.take_place_of(root / NPU)
    (root / "class/thermal/thermal_zone0/temp").write_text("90000\n")
    found = knobs(root, state)
    found.set_clocks(SLOW)
    assert found.domains == {"npu", "cpu", "ddr"}
    assert found.kernel_hz() == {"npu": 400e6}
    hot.close()


def test_a_write_that_does_nothing_gives_every_clock_back(
    root: Path, state: Path, deaf: Deaf
) -> None:
    deaf.take_place_of(root / NPU)
    found = knobs(root, state)
    for _ in range(2):  # it says so each time that it is asked
        with pytest.raises(KnobRefused, match="500 MHz written, 1000 MHz read back"):
            found.set_clocks(SLOW)
    assert faults(found) == {"npu": "ignored"}
    assert [int((root / name).read_text()) for name in (DDR, CPU4)] == [BEFORE[DDR], BEFORE[CPU4]]


def test_the_other_clocks_can_be_capped_without_the_one_that_does_nothing(
    root: Path, state: Path, deaf: Deaf
) -> None:
    deaf.take_place_of(root / NPU)
    found = KernelKnobs.discover(root, state, without=frozenset({"npu"}))
    found.set_clocks(SLOW)
    assert found.domains == {"cpu", "ddr"}
    assert int((root / DDR).read_text()) == 1068000000


def test_a_clock_that_takes_its_cap_again_is_capped_again(
    root: Path, state: Path, deaf: Deaf
) -> None:
    original = (root / NPU).resolve()
    deaf.take_place_of(root / NPU)
    found = knobs(root, state)
    with pytest.raises(KnobRefused):
        found.set_clocks(SLOW)
    original.unlink()
    original.write_text("1000000000\n")
    found.set_clocks(SLOW)
    assert (counts(root)[NPU], faults(found)) == (500000000, {})


def test_half_a_domain_is_no_knob(root: Path, state: Path) -> None:
    found = knobs(root, state)
    (root / CPU6).unlink()
    (root / CPU6).mkdir()
    with pytest.raises(KnobRefused):
        found.set_clocks(SLOW)
    assert [int((root / name).read_text()) for name in (NPU, CPU4)] == [BEFORE[NPU], BEFORE[CPU4]]


def test_a_value_that_the_kernel_refuses_is_named(root: Path, state: Path) -> None:
    (root / NPU).unlink()
    (root / NPU).symlink_to("/proc/self/oom_score_adj")  # takes -1000 to 1000
    found = knobs(root, state)
    saved = {NPU: 1000000000, DDR: 2112000000, CPU4: 2400000, CPU6: 2400000}
    SavedClocks(state, BOOT).write(saved)
    with pytest.raises(KnobRefused, match="Invalid argument"):
        found.set_clocks(SLOW)
    assert faults(found) == {"npu": "refused"}


def test_a_clock_that_this_user_may_not_write_is_denied(open_folder: Path) -> None:
    root = tree(open_folder / "sys", "rock_5b")
    (root / NPU).chmod(0o444)
    with as_nobody():
        found = faults(knobs(root, open_folder))
    assert found["npu"] == "denied"


def test_a_read_only_tree_is_told_with_the_cure(root: Path, state: Path) -> None:
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount, root], check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount, not even in a namespace of his own")
    look = (
        "import sys; from pathlib import Path; from edged.board.knobs.kernel import KernelKnobs\n"
        "root, state = map(Path, sys.argv[1:])\n"
        "for one in KernelKnobs.discover(root, state).troubles.values(): print(one.fault, one.why)"
    )
    command = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$1" -c "$2" "$0" "$3"']
    command += [str(root), sys.executable, look, str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert len(told) == 3
    assert all(line.startswith("read_only") and "ReadWritePaths=" in line for line in told)


def test_a_folder_in_place_of_the_file_is_refused(root: Path, state: Path) -> None:
    (root / NPU).unlink()
    (root / NPU).mkdir()
    assert faults(knobs(root, state)) == {"npu": "refused"}


@EACH_BOARD
def test_what_a_board_lacks_is_told(tmp_path: Path, board: str) -> None:
    found = knobs(tree(tmp_path / "sys", board), tmp_path)
    expected = {"npu": "missing", "ddr": "missing"} if board == "mainline" else {}
    assert faults(found) == expected


def test_firmware_without_dmc_is_told(root: Path, state: Path) -> None:
    (root / "class/devfreq/dmc").unlink()
    found = knobs(root, state)
    assert "the boot firmware does not support it" in found.troubles["ddr"].why
    found.set_clocks(SLOW)
    assert int((root / NPU).read_text()) == 500000000


def test_a_driver_that_is_unbound_mid_run_is_missing(root: Path, state: Path) -> None:
    found = knobs(root, state)
    found.set_clocks(SLOW)
    shutil.rmtree(root / "devices/platform/fdab0000.npu")
    with pytest.raises(KnobRefused):
        found.check(is_busy=True)
    assert faults(found) == {"npu": "missing"}
    assert int((root / DDR).read_text()) == BEFORE[DDR]
    assert restore_clocks(root, SavedClocks(state, BOOT)).kept == ()


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


def test_a_cap_that_was_overwritten_is_written_again(root: Path, state: Path) -> None:
    found = knobs(root, state)
    found.set_clocks(SLOW)
    (root / NPU).write_text("1000000000\n")
    found.check(is_busy=False)
    assert counts(root)[NPU] == 500000000


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


def test_a_cap_that_is_overwritten_again_and_again_is_left_to_the_other(
    root: Path, state: Path
) -> None:
    clock = Ticks()
    found = knobs(root, state, clock)
    found.set_clocks(SLOW)
    for _ in range(CONTEST_WRITES):
        (root / NPU).write_text("900000000\n")
        found.check(is_busy=False)
    (root / NPU).write_text("900000000\n")
    with pytest.raises(KnobRefused, match="another program sets this clock"):
        found.check(is_busy=False)
    clock.step(LEFT_S - 1)
    with pytest.raises(KnobRefused, match="another program sets this clock"):
        found.set_clocks(SLOW)
    found.restore()
    assert counts(root) == {**BEFORE, NPU: 900000000}
    clock.step(1)
    found.set_clocks(SLOW)
    assert counts(root)[NPU] == 500000000


def test_a_cap_that_is_overwritten_now_and_then_is_not_contested(root: Path, state: Path) -> None:
    clock = Ticks()
    found = knobs(root, state, clock)
    found.set_clocks(SLOW)
    for _ in range(3 * CONTEST_WRITES):
        (root / NPU).write_text("1000000000\n")
        found.check(is_busy=False)
        clock.step(CONTEST_S)
    assert found.domains == {"npu", "cpu", "ddr"}


def test_a_clock_that_runs_over_its_cap_for_long_means_that_the_cap_does_nothing(
    root: Path, state: Path
) -> None:
    found = knobs(root, state)
    found.set_clocks(SLOW)
    slow_down(root)
    for _ in range(OVER_LOOKS - 1):
        found.check(is_busy=True)
    with pytest.raises(KnobRefused, match="runs 1000 MHz, its cap is 500 MHz"):
        found.check(is_busy=True)


def test_the_remembered_clock_of_a_resting_npu_means_nothing(root: Path, state: Path) -> None:
    found = knobs(root, state)
    found.set_clocks(SLOW)
    slow_down(root)
    for _ in range(2 * OVER_LOOKS):
        found.check(is_busy=False)
    assert "npu" in found.domains


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


@pytest.mark.parametrize("board", [board for board in BOARDS if board != "mainline"])
def test_the_steps_of_a_board_are_those_that_all_its_caps_offer(tmp_path: Path, board: str) -> None:
    found = knobs(tree(tmp_path / "sys", board), tmp_path)
    assert len(found.steps_hz("ddr")) == 4
    assert max(found.steps_hz("npu")) == {"sige5": 950e6, "rk3588j": 800e6}.get(board, 1000e6)


def slow_down(root: Path) -> None:
    """Let every clock but the NPU's follow its cap."""
    (root / "class/devfreq/dmc/cur_freq").write_text("528000000\n")
