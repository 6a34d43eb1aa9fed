"""The daemon holds its budget with the meter that it finds in /sys.

Goal: every fault of a meter ends in its name in `state`, and the board stays under its limits.
Method: a golden tree with a virtual board behind its files, in virtual time; the plant's truth
judges. The daemon's parts are those that `parts_here` finds in the tree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.bench.power_judge import Figures
from edged.power.shown import Watts
from tests.golden_tree import EAR, hwmon, renumber, tree
from tests.memory import tmp_path as tmp_path
from tests.power_fixtures import FULL, LEAD_S, Trial, held, leave, saturated, trial, unplug_chip
from tests.power_fixtures import root as root
from tests.sysfs_plant import CAPS, CHIP
from tests.virtual_time import VirtualLoop, run_virtually

# The whole daemon runs in each of them.
pytestmark = pytest.mark.model
# An attribute that this kernel lets nobody read, root neither.
UNREADABLE = "/proc/sys/vm/drop_caches"


def unplug(one: Trial) -> None:
    """Take the chip away."""
    unplug_chip(one.plant)


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
