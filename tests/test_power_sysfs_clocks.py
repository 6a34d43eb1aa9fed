"""The daemon holds its budget with the clocks that it finds in /sys, and gives them back.

Goal: every fault of a clock ends in its name in `state`, the board stays under its limits, and no
cap outlives the engine. Method: as in test_power_sysfs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from edged.bench.power_judge import Figures
from edged.board.knobs.kernel import KernelKnobs
from edged.board.knobs.saved import FILE
from edged.board.soc import Clocks, Domain, Point
from edged.engine.client import Lost
from edged.engine.frames import Ready
from edged.power.shown import Hands
from tests.memory import tmp_path as tmp_path
from tests.power_fixtures import END_S, FULL, LEAD_S, Trial, held, leave, saturated, trial
from tests.power_fixtures import root as root
from tests.sysfs_plant import CAPS, POLICIES, SysfsPlant, put
from tests.virtual_time import VirtualLoop, run_virtually

# The whole daemon runs in each of them.
pytestmark = pytest.mark.model
# An attribute that this kernel lets nobody write, root neither.
UNWRITABLE = "/proc/sys/kernel/ngroups_max"


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
