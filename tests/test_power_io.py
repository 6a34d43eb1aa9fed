"""Which files of /sys a working daemon opens: none that wakes the NPU, and none on its event loop.

Method: an audit hook hears every file that is opened, on a golden tree.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import cast

import pytest

from tests.golden_tree import EAR
from tests.memory import tmp_path as tmp_path
from tests.power_fixtures import root as root
from tests.power_fixtures import trial
from tests.sysfs_plant import POLICIES
from tests.virtual_time import VirtualLoop, run_virtually

# The daemon's parts run in each of them.
pytestmark = pytest.mark.model

CAP = f"{POLICIES[0]}/scaling_max_freq"


def test_a_working_daemon_opens_nothing_that_wakes_the_npu(root: Path) -> None:
    debug = root / "kernel/debug/rknpu"
    debug.mkdir(parents=True)
    for name in ("freq", "load", "power", "volt", "version"):
        os.mkfifo(debug / name)

    async def play(loop: VirtualLoop) -> list[str]:
        with EAR.listening() as opened:
            async with trial(loop, root, budget_w=3.0) as one:
                await one.daemon.saturate(20.0)
        return [name for name in opened if not name.startswith(str(root.parent / "state"))]

    opened = run_virtually(play)
    inside = {name.removeprefix(f"{root}/") for name in opened if name.startswith(str(root))}
    assert any(name.endswith("power1_input") for name in inside)
    assert CAP in inside
    assert {name for name in inside if "debug" in name or name.endswith("/load")} == set()
    wakes = ("/dev/dri", "/dev/rknpu", "/dev/accel", "/sys/kernel/debug", "/proc/rknpu")
    assert [name for name in opened if name.startswith(wakes)] == []


def test_meter_and_clocks_are_read_and_written_off_the_event_loop(root: Path) -> None:
    """In real time: work of threads runs where it is asked for in virtual time."""

    async def play() -> tuple[list[str], list[str]]:
        # Of a loop in virtual time the parts need the clock alone.
        loop = cast(VirtualLoop, asyncio.get_running_loop())
        async with trial(loop, root, budget_w=3.0) as one:
            one.plant.is_still = True  # it works on the loop
            with EAR.listening() as opened:
                await one.daemon.saturate(loop.time() + 2.5)
                return opened.copy(), EAR.by_main.copy()

    opened, by_main = asyncio.run(play())
    assert any(name.endswith("power1_input") for name in opened)
    assert str(root / CAP) in opened
    assert [name for name in by_main if name.startswith(str(root))] == []


def test_the_same_idle_watts_an_hour_later_are_no_stuck_meter(root: Path) -> None:
    async def play(loop: VirtualLoop) -> str:
        async with trial(loop, root) as one:
            await one.daemon.accept(1)
            await asyncio.sleep(10.0)
            one.plant.is_still = True  # the chip shows the same figure from now on
            await asyncio.sleep(3600.0)
            await one.daemon.accept(2)
            await asyncio.sleep(0.2)  # a reading
            return one.hands.fault

    assert run_virtually(play) == ""
