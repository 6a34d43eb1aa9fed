"""A clock that cannot be capped is named with its fault, and half a cap is none.

Method: golden trees. A fault is a real one: mode bits for another user, a folder or a pipe in place
of a file, a file of /proc that refuses, a terminal that swallows what is written.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.board.knobs.kernel import KernelKnobs
from edged.board.knobs.restore import restore_clocks
from edged.board.knobs.saved import SavedClocks
from edged.board.knobs.watch import OVER_LOOKS
from edged.errors import KnobRefused
from tests.golden_tree import EACH_BOARD, Deaf, as_nobody, tree
from tests.golden_tree import open_folder as open_folder
from tests.knobs_fixtures import BEFORE, BOOT, CPU4, CPU6, DDR, NPU, SLOW, counts, knobs
from tests.knobs_fixtures import root as root
from tests.knobs_fixtures import state as state
from tests.memory import tmp_path as tmp_path


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    found = Deaf("1000000000")
    yield found
    found.close()


def faults(found: KernelKnobs) -> dict[str, str]:
    """Return the fault of each domain that has one."""
    return {domain: trouble.fault for domain, trouble in found.troubles.items()}


def test_nothing_is_written_before_the_old_values_are_on_disk(root: Path, state: Path) -> None:
    state.rmdir()
    found = knobs(root, state)
    with pytest.raises(KnobRefused, match=r"the state directory does not take clocks\.json"):
        found.set_clocks(SLOW)
    assert (counts(root), set(faults(found).values())) == (BEFORE, {"unsaved"})


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


def slow_down(root: Path) -> None:
    """Let every clock but the NPU's follow its cap."""
    (root / "class/devfreq/dmc/cur_freq").write_text("528000000\n")
