"""On each golden tree each fault of a meter and of a clock has its name.

Method: the board's own manifest and chip; a fault is a real one: a folder that is gone, mode bits,
a read-only mount, a terminal that swallows what is written.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from edged.board.knobs.cap import Cap, find_caps
from edged.board.knobs.kernel import KernelKnobs
from edged.board.knobs.saved import SavedClocks
from edged.board.meter import Meter, Reading
from edged.board.meters.choose import Wish, choose_meter
from edged.board.meters.dynamic import of_cores
from edged.board.meters.fault import MeterFault
from edged.board.soc import Clocks
from edged.errors import KnobRefused
from tests.golden_tree import (
    BOARDS,
    EACH_BOARD,
    Deaf,
    Ticks,
    as_nobody,
    hwmon,
    metered,
    renumber,
    tree,
)
from tests.golden_tree import open_folder as open_folder
from tests.memory import tmp_path as tmp_path

STEP_S = 1.0
USUAL_W = 3.0
SLOW = Clocks(npu_hz=500e6, cpu_hz=1200e6, ddr_hz=1068e6)
FULL = Clocks(npu_hz=1000e6, cpu_hz=2400e6, ddr_hz=2736e6)
# No chip of the trees sits on such a shunt.
ANOTHER_OHM = 0.003
MOUNT = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'
LOOK = (
    "import json, sys; from pathlib import Path\n"
    "from edged.board.knobs.kernel import KernelKnobs\n"
    "root, state = map(Path, sys.argv[1:])\n"
    "found = {one.name: KernelKnobs.discover(one, state).troubles for one in root.iterdir()}\n"
    "print(json.dumps({board: {domain: one.fault for domain, one in troubles.items()}\n"
    "                  for board, troubles in found.items()}))"
)


@dataclass(slots=True)
class Rig:
    """A board's chip, and the meter that edged chose for it."""

    root: Path
    board: str
    clock: Ticks
    meter: Meter
    counted_uj: int = 0

    def show(self, watts_w: float) -> None:
        """Let a second pass in which the chip sees these watts."""
        self.clock.step(STEP_S)
        folder = hwmon(self.root, BOARDS[self.board])
        if (folder / "energy1_input").exists():
            self.counted_uj += round(watts_w * STEP_S * 1e6)
            (folder / "energy1_input").write_text(f"{self.counted_uj}\n")
        elif (folder / "power1_input").exists():
            (folder / "power1_input").write_text(f"{round(watts_w * 1e6)}\n")
        else:
            (folder / "in1_input").write_text("5000\n")
            (folder / "curr1_input").write_text(f"{round(watts_w / 5 * 1e3)}\n")

    def read(self, watts_w: float) -> Reading:
        """Return what the meter says of a second with these watts."""
        self.show(watts_w)
        return self.meter.read()

    def fault(self) -> str:
        """Return the fault of the next reading."""
        with pytest.raises(MeterFault) as caught:
            self.meter.read()
        return caught.value.fault


def rig(folder: Path, board: str, shunt_ohm: float | None = None) -> Rig:
    """Return a board whose meter has told something."""
    root, clock = metered(folder / "sys", board), Ticks()
    wish = Wish(of_cores(2.0, 0.5, 1e9, 0.4), shunt_ohm=shunt_ohm)
    chosen = choose_meter(wish, lambda: None, root, clock=clock)
    assert chosen.kind == "hwmon"
    one = Rig(root, board, clock, chosen.meter)
    chip = hwmon(root, BOARDS[board])
    if (chip / "energy1_input").exists():
        one.counted_uj = int((chip / "energy1_input").read_text())
    return one


# --- the meter ---------------------------------------------------------------------------------


@EACH_BOARD
def test_its_chip_reads_watts(tmp_path: Path, board: str) -> None:
    assert rig(tmp_path, board).read(USUAL_W).watts_w == pytest.approx(USUAL_W)


@EACH_BOARD
def test_its_chip_that_is_unplugged_in_mid_run_is_gone_and_comes_back(
    tmp_path: Path, board: str
) -> None:
    one = rig(tmp_path, board)
    one.read(USUAL_W)
    folder = hwmon(one.root, BOARDS[board])
    shutil.move(folder, tmp_path / "drawer")
    assert [one.fault(), one.fault()] == ["gone", "gone"]
    shutil.move(tmp_path / "drawer", folder)
    assert one.read(USUAL_W).watts_w == pytest.approx(USUAL_W, rel=0.5)  # a counter's is of both


@EACH_BOARD
def test_its_chip_is_read_on_under_another_number(tmp_path: Path, board: str) -> None:
    one = rig(tmp_path, board)
    one.read(USUAL_W)
    renumber(one.root, BOARDS[board], 27)
    assert one.fault() == "gone"
    one.show(USUAL_W)
    if BOARDS[board] == "ina228":  # its counter needs two looks
        assert one.fault() == "settling"
    assert one.read(USUAL_W).watts_w == pytest.approx(USUAL_W)


@EACH_BOARD
def test_its_chip_that_may_not_be_read_is_denied(open_folder: Path, board: str) -> None:
    one = rig(open_folder, board)
    one.read(USUAL_W)
    for path in hwmon(one.root, BOARDS[board]).glob("*_input"):
        path.chmod(0)
    with as_nobody():
        assert one.fault() == "denied"


@EACH_BOARD
@pytest.mark.parametrize(("watts_w", "name"), [(0.0, "zero"), (0.1, "spike"), (60.0, "spike")])
def test_watts_that_no_running_board_draws_are_named(
    tmp_path: Path, board: str, watts_w: float, name: str
) -> None:
    one = rig(tmp_path, board)
    one.read(USUAL_W)
    one.show(watts_w)
    assert one.fault() == name


@EACH_BOARD
def test_its_chip_that_never_moves_is_stuck(tmp_path: Path, board: str) -> None:
    one = rig(tmp_path, board)
    for _ in range(30):
        one.read(USUAL_W)
    for _ in range(2):  # a mean that is followed by its own clock ended earlier
        one.show(USUAL_W)
    assert one.fault() == "stuck"


@EACH_BOARD
def test_another_shunt_than_the_configured_one_is_named(tmp_path: Path, board: str) -> None:
    one = rig(tmp_path, board, ANOTHER_OHM)
    one.show(USUAL_W)
    if BOARDS[board] in ("ina228", "ina238", "ina260"):  # their drivers do not tell it
        assert one.meter.read().watts_w == pytest.approx(USUAL_W)
    else:
        assert one.fault() == "wrong_shunt"


# --- the clocks --------------------------------------------------------------------------------


def knobs(root: Path, state: Path) -> KernelKnobs:
    return KernelKnobs(root, find_caps(root), SavedClocks(state, "this boot"))


def faults(found: KernelKnobs) -> dict[str, str]:
    return {domain: trouble.fault for domain, trouble in found.troubles.items()}


def told(cap: Cap, clock_hz: float) -> Deaf:
    """Return a file that says this clock whatever is written, in the cap's place."""
    deaf = Deaf(str(round(clock_hz / cap.unit_hz)))
    deaf.take_place_of(cap.path)
    return deaf


def all_but(domain: str, board: str) -> set[str]:
    """Return the clocks of a board without one."""
    return ({"cpu"} if board == "mainline" else {"npu", "cpu", "ddr"}) - {domain}


@EACH_BOARD
def test_its_clocks_that_may_not_be_written_are_denied(open_folder: Path, board: str) -> None:
    root = tree(open_folder / "sys", board)
    for cap in find_caps(root):
        cap.path.chmod(0o444)
    with as_nobody():
        found = faults(knobs(root, open_folder))
    assert {domain for domain, name in found.items() if name == "denied"} == all_but("", board)


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Return the faults of all boards on a read-only mount."""
    folder, state = tmp_path_factory.mktemp("boards"), tmp_path_factory.mktemp("state")
    for board in BOARDS:
        tree(folder / board, board)
    mounts = ["unshare", "-rm", "sh", "-c", MOUNT, str(folder)]
    if subprocess.run(mounts, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount, not even in a namespace of his own")
    script = f'{MOUNT} && exec "$1" -c "$2" "$0" "$3"'
    command = ["unshare", "-rm", "sh", "-c", script, str(folder), sys.executable, LOOK, str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


@EACH_BOARD
def test_its_clocks_on_a_read_only_mount_are_named(
    read_only: dict[str, dict[str, str]], board: str
) -> None:
    found = read_only[board]
    assert {domain for domain, name in found.items() if name == "read_only"} == all_but("", board)


@pytest.fixture
def capped(tmp_path: Path, board: str) -> tuple[Path, Cap]:
    """Return a board's tree, and its first cap."""
    root = tree(tmp_path / "sys", board)
    (tmp_path / "state").mkdir()
    return root, find_caps(root)[0]


@EACH_BOARD
def test_its_cap_that_ignores_what_is_written_is_named_and_all_clocks_come_back(
    capped: tuple[Path, Cap], board: str, tmp_path: Path
) -> None:
    root, cap = capped
    deaf = told(cap, cap.steps_hz[-1])
    found = knobs(root, tmp_path / "state")
    with pytest.raises(KnobRefused, match=r"written, .* read back"):
        found.set_clocks(SLOW)
    assert faults(found)[cap.domain] == "ignored"
    others = [one for one in find_caps(root) if one.path != cap.path]
    assert [one.in_force_hz() for one in others] == [one.steps_hz[-1] for one in others]
    deaf.close()


@EACH_BOARD
def test_a_cap_of_the_heat_under_ours_is_no_fault_and_told(
    capped: tuple[Path, Cap], board: str, tmp_path: Path
) -> None:
    root, cap = capped
    hot = told(cap, cap.steps_hz[0])
    found = knobs(root, tmp_path / "state")
    before = faults(found)
    found.set_clocks(FULL)
    assert found.kernel_hz() == {cap.domain: cap.steps_hz[0]}
    assert faults(found) == before
    hot.close()


@EACH_BOARD
def test_without_dmc_its_other_clocks_are_capped(tmp_path: Path, board: str) -> None:
    root = tree(tmp_path / "sys", board)
    (root / "class/devfreq/dmc").unlink(missing_ok=True)  # a mainline kernel never had it
    found = knobs(root, tmp_path)
    assert faults(found)["ddr"] == "missing"
    found.set_clocks(SLOW)
    assert found.domains == all_but("ddr", board)
    for cap in find_caps(root):
        assert (cap.in_force_hz() or 0.0) < cap.steps_hz[-1]
