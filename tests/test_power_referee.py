"""The law on the referee's plants in virtual time: machines whose form and constants it lacks.

Goal: windows stay under the limit and use it, from an RK3588's figures and what the chip taught.
Method: the law alone with steps of milliseconds, and the daemon's parts with a simulated engine
whose chunks take a fifth of a second; the plant's own joules judge. Each budget holds for a while;
a step is full load, a pause is none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edged.bench.host.judge import Figures, Joules, Span, judged
from edged.bench.host.plant import Chip, Plant, drawn
from edged.bench.power_judge import Truth
from edged.board.meter import Reading
from edged.board.meters.conversions import Conversions
from edged.power.budget import Budget
from edged.power.forecast import Phase
from edged.power.outfit import Parts
from tests.bare_referee import best_share, governed
from tests.board_fixtures import board, virtual_board
from tests.virtual_time import VirtualLoop, config_of, run_virtually

LOOK_S, AVERAGING_S = 0.02, 0.125
LEAD_S, SPAN_S = 60.0, 40.0
BUDGETS_W = (4.0, 6.0, 3.0)


@dataclass(slots=True)
class Refereed:
    """A plant that follows the steps of a simulated engine, and its chip."""

    plant: Plant
    chip: Chip
    loop: VirtualLoop
    load: float = 0.0
    times_s: list[float] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)
    conversions: Conversions = field(default_factory=lambda: Conversions(AVERAGING_S))

    def run(self, phase: Phase | None) -> None:
        """Draw the time until now, and then what this phase draws."""
        self.look()
        self.load = 0.0 if phase is None else 1.0

    def look(self) -> None:
        """Bring plant and chip up to now."""
        now_s = self.loop.time()
        self.plant.advance(now_s, self.load)
        self.chip.take(now_s, self.plant.joules)
        self.times_s.append(now_s)
        self.joules.append(self.plant.joules)

    def read(self) -> Reading:
        """Return what the chip shows, dated as the daemon's own meter does."""
        shown_w = self.chip.shown_w
        at_s = self.conversions.end_s(shown_w, self.loop.time())
        return Reading(shown_w, at_s, AVERAGING_S, 0.02, "ina226@1-0040", "metered")

    async def turn(self) -> None:
        """Look as often as the referee does."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)


def figures(folder: Path, seed: int) -> list[Figures]:
    """Return what each budget's span drew."""

    async def play(loop: VirtualLoop) -> list[Figures]:
        plant = Plant(drawn(seed), loop.time())
        chip = Chip(drawn(seed), seed, AVERAGING_S, loop.time())
        one = Refereed(plant, chip, loop)
        turning = asyncio.ensure_future(one.turn())
        config = config_of(folder, model={"context_tokens": 1024, "sequences": 8})
        parts = Parts(None, one, None, one.run)
        spans = []
        async with board(loop, config, virtual_board(loop, domains=frozenset()), parts) as daemon:
            await asyncio.sleep(10.0)
            await daemon.saturate(LEAD_S)
            for budget_w in BUDGETS_W:
                daemon.power.set_budget(Budget(budget_w=budget_w))
                start_s = loop.time()
                await daemon.saturate(start_s + SPAN_S)
                spans.append(Span(start_s, loop.time(), budget_w))
        turning.cancel()
        truth = Truth(Joules(one.times_s, one.joules))
        return [judged(truth, span) for span in spans]

    return run_virtually(play)


SEEDS = pytest.mark.parametrize(
    "seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))]
)


@SEEDS
def test_short_steps_use_each_limit_and_give_nine_tenths_of_the_best_fixed_share(seed: int) -> None:
    for budget_w, held in zip(BUDGETS_W, governed(seed, BUDGETS_W), strict=True):
        assert held.figures.over_share == 0
        assert held.figures.mean_w > 0.95 * budget_w
        assert held.busy >= 0.9 * best_share(seed, budget_w)


@SEEDS
def test_a_machine_of_another_form_stays_under_each_of_its_limits(
    seed: int, tmp_path: Path
) -> None:
    found = figures(tmp_path, seed)
    assert [one.over_share for one in found] == [0.0, 0.0, 0.0]
    assert all(one.mean_w > 0.92 * one.limit_w for one in found)


def test_with_chunks_of_a_fifth_of_a_second_the_lowest_limit_is_used(tmp_path: Path) -> None:
    lowest = figures(tmp_path, 1)[-1]
    assert lowest.limit_w == min(BUDGETS_W)
    assert lowest.mean_w >= 0.95 * lowest.limit_w
