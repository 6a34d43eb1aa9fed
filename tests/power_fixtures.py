"""Daemons of tests that hold a budget with the meter and the clocks of a tree.

In: a golden tree, a virtual board behind its files, virtual time.  Out: the daemon's parts that
`parts_here` finds there, under load; what the board drew by the plant's truth, and what was said.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edged.bench.power_judge import Figures, Span, judged
from edged.board.soc import Clocks
from edged.config import Config
from edged.power.outfit import parts_here
from edged.power.shown import Hands, Watts
from tests.board_fixtures import Board, board
from tests.golden_tree import hwmon, tree
from tests.sysfs_plant import CHIP, SysfsPlant, sysfs_plant
from tests.virtual_time import VirtualLoop, config_of, run_virtually

LEAD_S = 10.0
FAULT_S = 25.0
END_S = 70.0
# Two periods of reading, and the plant's own turn.
NAMED_S = 0.3
FULL = (2400000, 2400000, 2112000000)


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
    """The tree of an Orange Pi 5 with its chip."""
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


def unplug_chip(plant: SysfsPlant) -> None:
    """Take the chip of a plant away."""
    folder = hwmon(plant.root, CHIP)
    (plant.root / "class/hwmon" / folder.name).unlink()
    shutil.rmtree(folder)


def held(figures: Figures) -> bool:
    """Return whether both limits held; of the peak's windows a few lie on the edge."""
    return figures.windows_over_share == 0 and figures.peak_over_share <= 0.002
