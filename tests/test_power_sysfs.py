"""The daemon holds its budget with the meter and the clocks that it finds in /sys.

Goal: every fault of a meter or a clock ends in its name in `state`, and the board stays under its
limits. Method: a golden tree with a virtual board behind its files, in virtual time; the plant's
truth judges. The daemon's parts are those that `parts_here` finds in the tree.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edged.bench.power_judge import Figures, Span, judged
from edged.board.knobs.kernel import KernelKnobs
from edged.board.knobs.saved import FILE
from edged.board.soc import Clocks, Domain, Point
from edged.config import Config
from edged.engine.client import Lost
from edged.engine.frames import Ready
from edged.power.outfit import parts_here
from edged.power.shown import Hands, Watts
from tests.golden_tree import EAR, hwmon, renumber, tree
from tests.memory import tmp_path as tmp_path
from tests.sysfs_plant import CAPS, CHIP, POLICIES, SysfsPlant, put, sysfs_plant
from tests.test_power_daemon import Board, board
from tests.virtual_time import VirtualLoop, config_of, run_virtually

# The whole daemon runs in each of them.
pytestmark = pytest.mark.model

LEAD_S = 10.0
FAULT_S = 25.0
END_S = 70.0
# Two periods of reading, and the plant's own turn.
NAMED_S = 0.3
FULL = (2400000, 2400000, 2112000000)
# An attribute that this kernel lets nobody read, and one that it lets nobody write, root neither.
UNREADABLE, UNWRITABLE = "/proc/sys/vm/drop_caches", "/proc/sys/kernel/ngroups_max"


@dataclass(frozen=True, slots=True)
class Trial:
    """A daemon without its broker, on a board behind a tree."""

    loop: VirtualLoop
    plant: SysfsPlant
    daemon: Board

    @property
    def hands(self) -> Hands:
        """Return what `state` says of meter and clocks."""
        return self.daemon.power.hands

    @property
    def clocks(self) -> Clocks:
        """Return the clocks that the law counts on."""
        law = self.daemon.power.law
        return law.forecast.points[law.point].clocks

    def figures(self) -> Figures:
        """Return what the board drew from the lead's end on."""
        self.plant.live.run(None)
        span = Span(LEAD_S, self.loop.time(), self.daemon.power.law.limits)
        return judged(self.plant.live.board, [span], 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path / "sys", "orangepi_5", "orangepi_5.ina226")


@asynccontextmanager
async def trial(loop: VirtualLoop, root: Path, seed: int = 0, **power: Any) -> AsyncIterator[Trial]:
    """Run the daemon's parts on what it finds in the tree."""
    plant = sysfs_plant(root, loop, seed)
    state = root.parent / "state"
    state.mkdir(exist_ok=True)
    turning = asyncio.ensure_future(plant.run())
    parts = parts_here(found_config(state, root, power), loop.time)
    parts = replace(parts, runs=plant.live.run)
    config = config_of(state, power=power)
    try:
        async with board(loop, config, plant.live, parts) as daemon:
            yield Trial(loop, plant, daemon)
    finally:
        turning.cancel()


def found_config(state: Path, root: Path, power: dict[str, Any]) -> Config:
    """Return the configuration of the same daemon with an engine that computes."""
    return config_of(state, engine={"backend": "llama"}, power=power | {"sysfs": str(root)})


def saturated(
    root: Path, breaks: Callable[[Trial], None], seed: int = 0, **power: Any
) -> tuple[Figures, Hands, Hands, Watts]:
    """Break something in mid-run; return what the board drew, and what was said soon and late."""

    async def play(loop: VirtualLoop) -> tuple[Figures, Hands, Hands, Watts]:
        async with trial(loop, root, seed, **power) as one:
            await asyncio.sleep(LEAD_S)
            await one.daemon.saturate(FAULT_S)
            breaks(one)
            await one.daemon.saturate(FAULT_S + NAMED_S)
            soon = one.hands
            await one.daemon.saturate(END_S)
            late, watts = one.hands, one.daemon.power.watts()
            return one.figures(), soon, late, watts

    return run_virtually(play)


def leave(one: Trial) -> None:
    """Break nothing."""


def unplug(one: Trial) -> None:
    """Take the chip away."""
    unplug_chip(one.plant)


def unplug_chip(plant: SysfsPlant) -> None:
    """Take the chip of a plant away."""
    folder = hwmon(plant.root, CHIP)
    (plant.root / "class/hwmon" / folder.name).unlink()
    shutil.rmtree(folder)


def deny(one: Trial) -> None:
    """Let nobody read the chip."""
    one.plant.is_metering = False
    file = hwmon(one.plant.root, CHIP) / "power1_input"
    file.unlink()
    file.symlink_to(UNREADABLE)


def garble(one: Trial) -> None:
    """Have the bus make no sense."""
    one.plant.is_metering = False
    (hwmon(one.plant.root, CHIP) / "power1_input").write_text("garbage\n")


def move(one: Trial) -> None:
    """Bind the chip's driver anew."""
    renumber(one.plant.root, CHIP, 9)


def saying(watts_w: float) -> Callable[[Trial], None]:
    """Have the meter say something else than the truth."""

    def say(one: Trial) -> None:
        one.plant.says_w = watts_w

    return say


def held(figures: Figures) -> bool:
    """Return whether both limits held; of the peak's windows a few lie on the edge."""
    return figures.windows_over_share == 0 and figures.peak_over_share <= 0.002


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_the_budget_holds_with_the_chip_and_the_clocks_of_the_tree(root: Path, seed: int) -> None:
    figures, _, late, watts = saturated(root, leave, seed)
    assert held(figures)
    assert (late.fault, late.clocks, watts.origin) == ("", {}, "metered")
    assert "ina226@1-0040: the only power chip here" in late.told.meter


@pytest.mark.slow
def test_a_machine_nobody_knows_is_held_by_its_chip_and_pauses_alone(root: Path) -> None:
    (root / "firmware/devicetree/base/compatible").unlink()
    figures, _, late, watts = saturated(root, leave)
    assert held(figures)
    assert (late.fault, watts.origin, watts.standing.state) == ("", "metered", "throttled")
    assert tuple(int((root / cap).read_text()) for cap in CAPS) == FULL


@pytest.mark.slow
def test_the_budget_holds_with_a_counter_of_joules_also_after_an_idle_hour(tmp_path: Path) -> None:
    root = tree(tmp_path / "sys", "rock_5b", "rock_5b.ina228")

    async def play(loop: VirtualLoop) -> tuple[Figures, Watts, float, float]:
        async with trial(loop, root) as one:
            await asyncio.sleep(LEAD_S)
            await one.daemon.saturate(40.0)
            one.plant.is_still = True  # nothing reads it either, and a turn is 20 ms
            await asyncio.sleep(3600.0)
            one.plant.is_still = False
            await one.daemon.saturate(loop.time() + 40.0)
            watts, counted = one.daemon.power.watts(), one.daemon.power.law.counted(loop.time())
            return one.figures(), watts, counted.counter_j, one.plant.live.board.joules[-1]

    figures, watts, counted_j, true_j = run_virtually(play)
    assert held(figures)
    assert watts.origin == "metered"
    assert counted_j == pytest.approx(true_j, rel=0.01)


@pytest.mark.parametrize(
    ("breaks", "soon", "late"),
    [
        (unplug, "gone", "gone"),
        (deny, "denied", "denied"),
        pytest.param(garble, "unreadable", "unreadable", marks=pytest.mark.slow),
        pytest.param(saying(0.0), "zero", "zero", marks=pytest.mark.slow),
        pytest.param(saying(0.04), "spike", "wrong_shunt", marks=pytest.mark.slow),
        pytest.param(saying(400.0), "spike", "wrong_shunt", marks=pytest.mark.slow),
        pytest.param(saying(-4.0), "spike", "wrong_shunt", marks=pytest.mark.slow),
    ],
    ids=["unplugged", "denied", "garbled", "zero", "a hundredth", "a hundredfold", "backwards"],
)
def test_a_fault_of_the_meter_is_named_in_two_readings_and_the_budget_holds(
    root: Path, breaks: Callable[[Trial], None], soon: str, late: str
) -> None:
    figures, named_soon, named_late, watts = saturated(root, breaks)
    assert held(figures)
    assert named_soon.fault.startswith(f"{soon}: ")
    assert named_late.fault.startswith(f"{late}: ")
    assert (watts.origin, f"meter {late}: " in watts.standing.why) == ("estimated", True)


@pytest.mark.slow
def test_a_meter_that_sticks_is_named_and_the_budget_holds(root: Path) -> None:
    figures, _, late, watts = saturated(root, saying(2.0))
    assert held(figures)
    assert late.fault.startswith("stuck: ")
    assert watts.origin == "estimated"


@pytest.mark.slow
def test_another_shunt_than_the_configured_one_is_named_from_the_start(root: Path) -> None:
    figures, soon, _, watts = saturated(root, leave, shunt_ohm=0.002)
    assert held(figures)
    assert soon.fault.startswith("wrong_shunt: ")
    assert "10 mOhm, 2 mOhm are configured" in watts.standing.why


@pytest.mark.slow
@pytest.mark.parametrize("gain", [10.0, 0.2], ids=["ten times", "a fifth"])
def test_a_shunt_of_another_size_than_the_driver_s_is_named_and_the_budget_holds(
    root: Path, gain: float
) -> None:
    def solder(one: Trial) -> None:
        one.plant.gain = gain

    figures, _, late, watts = saturated(root, solder)
    assert held(figures)
    assert late.fault.startswith("wrong_shunt: ")
    assert (watts.origin, "wrong_shunt: " in watts.standing.why) == ("estimated", True)


@pytest.mark.slow
def test_a_chip_that_gets_another_number_goes_on_being_read(root: Path) -> None:
    figures, _, late, watts = saturated(root, move)
    assert held(figures)
    assert (late.fault, watts.origin) == ("", "metered")


@pytest.mark.parametrize(
    ("cap", "domain"), [(CAPS[0], "cpu"), (CAPS[2], "ddr")], ids=["cores", "memory"]
)
def test_a_clock_that_may_not_be_written_is_named_and_in_no_point(
    root: Path, cap: str, domain: Domain
) -> None:
    (root / cap).unlink()
    (root / cap).symlink_to(UNWRITABLE)

    async def play(loop: VirtualLoop) -> tuple[Hands, Sequence[Point]]:
        async with trial(loop, root) as one:
            one.plant.is_still = True  # what stands there is no clock of this board
            await asyncio.sleep(1.0)
            return one.hands, one.daemon.power.law.forecast.points

    hands, points = run_virtually(play)
    told = hands.clocks[domain]
    assert told.startswith("denied: ")
    assert len({point.clocks.by_domain[domain] for point in points}) == 1


@pytest.mark.slow
def test_firmware_without_dmc_is_named_and_the_budget_holds(root: Path) -> None:
    (root / "class/devfreq/dmc").unlink()
    figures, _, late, _ = saturated(root, leave)
    assert held(figures)
    assert late.clocks.keys() == {"ddr"}
    assert late.clocks["ddr"].startswith("missing: ")


def test_a_cap_that_does_nothing_is_named_and_pauses_hold_the_budget(root: Path) -> None:
    def disobey(one: Trial) -> None:
        one.plant.obeys = False
        one.plant.live.restore()

    figures, _, late, watts = saturated(root, disobey)
    assert figures.windows_over_share == 0
    assert figures.peak_over_share < 0.01  # three looks long the clocks run free
    assert [told.partition(":")[0] for told in late.clocks.values()] == ["ignored"]
    assert "clocks cannot be set: " in watts.standing.why


@pytest.mark.slow
def test_a_clock_that_another_program_sets_is_left_to_it_and_pauses_hold_the_budget(
    root: Path,
) -> None:
    async def play(loop: VirtualLoop) -> tuple[Figures, Hands, int]:
        async with trial(loop, root, budget_w=3.0) as one:
            await asyncio.sleep(LEAD_S)
            rival = asyncio.ensure_future(overwrite(one.plant))
            await one.daemon.saturate(END_S)
            rival.cancel()
            return one.figures(), one.hands, int((root / CAPS[0]).read_text())

    figures, hands, cap_khz = run_virtually(play)
    assert held(figures)
    assert hands.clocks["cpu"].startswith("contested: ")
    assert cap_khz == FULL[0]


async def overwrite(plant: SysfsPlant) -> None:
    """Be a program that wants the cores at full speed."""
    while True:
        await asyncio.sleep(0.5)
        for policy in POLICIES:
            put(plant.root / policy / "scaling_max_freq", FULL[0])


def test_a_clock_that_the_kernel_holds_lower_is_said_and_counted_on(root: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[Figures, Hands, Clocks, Clocks]:
        async with trial(loop, root, budget_w=12.0) as one:
            await one.daemon.saturate(20.0)
            before = one.clocks
            one.plant.heat_hz = 1200e6
            await one.daemon.saturate(22.2)  # two looks at the clocks, and the pace of the load
            soon = one.hands, before, one.clocks
            await one.daemon.saturate(45.0)
            return one.figures(), *soon

    figures, hands, before, after = run_virtually(play)
    assert held(figures)
    assert before.cpu_hz == 2400e6
    assert hands.clocks == {"cpu": "limited: the kernel allows 1200 MHz"}
    assert after.cpu_hz <= 1200e6


def test_clocks_come_back_with_the_last_engine_and_are_capped_for_the_next(root: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[tuple[int, ...], ...]:
        async with trial(loop, root, budget_w=3.0) as one:
            await one.daemon.saturate(20.0)
            capped = one.plant.caps()
            one.daemon.power.take(Lost("it ended"))
            await asyncio.sleep(2.0)
            alone = one.plant.caps()
            one.daemon.power.take(Ready("sim", "sha256:0", "sim", 1024, 8, 0.0))
            await asyncio.sleep(2.0)
            return capped, alone, one.plant.caps()

    capped, alone, again = run_virtually(play)
    assert alone == FULL
    assert FULL not in (capped, again)


def test_clocks_that_a_killed_daemon_left_come_back_where_no_engine_runs(root: Path) -> None:
    state = root.parent / "state"
    state.mkdir()
    KernelKnobs.discover(root, state).set_clocks(Clocks(500e6, 1200e6, 1068e6))

    async def play(loop: VirtualLoop) -> tuple[tuple[int, ...], tuple[int, ...]]:
        async with trial(loop, root) as one:
            before = one.plant.caps()
            await asyncio.sleep(0.1)
            one.daemon.power.take(Lost("it ended with the daemon"))
            await asyncio.sleep(2.0)
            return before, one.plant.caps()

    before, after = run_virtually(play)
    assert before == (1200000, 1200000, 1068000000)
    assert after == FULL
    assert not (state / FILE).exists()


@pytest.mark.parametrize("is_spawned", [False, True], ids=["systemd", "shell"])
def test_a_daemon_s_end_keeps_the_clocks_of_an_engine_that_lives_on(
    root: Path, is_spawned: bool
) -> None:
    async def play(loop: VirtualLoop) -> tuple[int, ...]:
        async with trial(loop, root, budget_w=3.0) as one:
            await one.daemon.saturate(20.0)
            one.daemon.engine._is_spawned = is_spawned
            plant = one.plant
        return plant.caps()

    caps = run_virtually(play)
    assert (caps == FULL) == is_spawned
    assert (root.parent / "state" / FILE).exists() != is_spawned


def test_the_values_from_before_outlive_a_restart_of_the_daemon(root: Path) -> None:
    async def play(loop: VirtualLoop) -> dict[str, int]:
        for _ in range(2):
            async with trial(loop, root, budget_w=3.0) as one:
                await one.daemon.saturate(loop.time() + 15.0)
        saved: dict[str, int] = json.loads((root.parent / "state" / FILE).read_text())["values"]
        return saved

    saved = run_virtually(play)
    assert {FULL[CAPS.index(cap)] for cap in saved if cap in CAPS} == set(FULL)


def test_after_the_last_prompt_one_reading_a_second_then_none(root: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[int, list[str]]:
        async with trial(loop, root) as one:
            await asyncio.sleep(LEAD_S)
            await one.daemon.accept(1)
            await asyncio.sleep(5.0)
            assert not one.daemon.spool.rows
            one.plant.is_still = True
            with EAR.listening() as opened:
                await asyncio.sleep(5.0)
                looks = sum("power1_input" in name for name in opened)
            await asyncio.sleep(60.0)
            with EAR.listening() as opened:
                await asyncio.sleep(600.0)
                return looks, [name for name in opened if str(root.parent) in name]

    looks, opened = run_virtually(play)
    assert looks in (4, 5, 6)
    assert opened == []
