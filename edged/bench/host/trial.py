"""The runs: edged under budgets on each hidden plant, and its rival just before and after each.

In:  a broker, seeds, how long.     Out: `Outcome`, with the `Cell`s of each seed and budget.
Both are whole daemons with a referee and a load of their own; only one of them works at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edged.bench.folder import in_memory
from edged.bench.host.duty import SWEEP, Tried
from edged.bench.host.judge import Figures, Span, judged, read_record
from edged.bench.host.load import Load, loaded
from edged.bench.host.processes import Daemon, daemon, lock_file, referee
from edged.bench.host.rival import Rival, rival
from edged.bench.power_judge import SETTLED_S
from edged.board.meter import Meter
from edged.errors import MeterLost


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes, and under which budgets.

    Attributes:
        budgets_w: one after the other, `rounds` times `span_s` each.
        lead_s: from when the daemon is ready until the first budget counts.
        idle_s: of the lead, before the first prompt: the idle floor is learned.
        again_s: after the rival ran, before a span, under the budget of the span before; longer
            than the budget's window.
        tried_s: of one fixed share.
    """

    broker: tuple[str, int]
    seeds: tuple[int, ...] = (1, 2, 3)
    budgets_w: tuple[float, ...] = (4.0, 6.0, 3.0)
    rounds: int = 5
    lead_s: float = 60.0
    idle_s: float = 10.0
    again_s: float = 12.0
    span_s: float = 30.0
    full_s: float = 12.0
    tried_s: float = 14.0
    sweep: tuple[float, ...] = SWEEP


@dataclass(frozen=True, slots=True)
class Governed:
    """One budget on one plant under edged.

    Attributes:
        tokens_s: output tokens per second, settled.
        told: what `state` said at the end.
        measured_w: mean by the machine's own energy counters; None without them.
    """

    figures: Figures
    tokens_s: float
    told: str
    measured_w: float | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One round of a budget on a plant: edged, and the rival just before and just after.

    Attributes:
        best: the rival's share whose worst window is the limit, with the tokens of that.
    """

    seed: int
    governed: Governed
    around: tuple[Tried, Tried]
    best: Tried


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs.

    Attributes:
        full_cores, full_tokens_s: of the engine unthrottled.
    """

    full_cores: float
    full_tokens_s: float
    sweep: tuple[Tried, ...]
    cells: tuple[Cell, ...]


async def play(plan: Plan, counters: Meter | None, told: Callable[[Cell], None]) -> Outcome:
    """Run everything, and tell each cell as it comes.

    Raises:
        EdgedError: no broker answers, or a daemon cannot serve.
    """
    async with rival(plan.broker) as other:
        await other.begin(plan.seeds, plan.full_s, plan.sweep, plan.tried_s)
        cells: list[Cell] = []
        for seed in plan.seeds:
            async with _saturated(plan, seed, other.full_cores) as edged:
                for budget_w in plan.budgets_w:
                    async for cell in _rounds(plan, edged, other, budget_w, counters):
                        told(cell)
                        cells.append(cell)
    return Outcome(other.full_cores, other.full_tokens_s, other.sweep, tuple(cells))


@dataclass(frozen=True, slots=True)
class _Edged:
    """A daemon with a budget that has learned its plant, paused until its turn."""

    seed: int
    board: Daemon
    load: Load
    truth: Path


@asynccontextmanager
async def _saturated(plan: Plan, seed: int, full_cores: float) -> AsyncIterator[_Edged]:
    """Run a daemon under the first budget until the block ends; the lead has passed already."""
    with in_memory() as name:
        folder = Path(name)
        truth, tree = folder / "truth", folder / "sys"
        power = {"budget_w": plan.budgets_w[0], "sysfs": str(tree)}
        async with (
            referee(truth, lock_file(folder), full_cores, seed, tree),
            daemon(folder, "edged", plan.broker, power) as board,
        ):
            ready_s = time.monotonic()
            await asyncio.sleep(plan.idle_s)
            async with loaded(board.settings) as load:
                await asyncio.sleep(ready_s + plan.lead_s - time.monotonic())
                await board.pause()
                yield _Edged(seed, board, load, truth)


async def _rounds(
    plan: Plan, edged: _Edged, other: Rival, budget_w: float, counters: Meter | None
) -> AsyncIterator[Cell]:
    """Run the rival, edged, the rival, edged, and so on; a run between two belongs to both."""
    seed = edged.seed
    before = await other.at(other.near(seed, budget_w), plan.tried_s)
    for _ in range(plan.rounds):
        governed = await _governed(plan, edged, budget_w, counters)
        after = await other.at(other.near(seed, budget_w), plan.tried_s)
        yield Cell(seed, governed, (before, after), other.best((before, after), seed, budget_w))
        before = after


async def _governed(plan: Plan, edged: _Edged, budget_w: float, counters: Meter | None) -> Governed:
    """Saturate the board under the budget in force, then hold this one for a while."""
    await edged.board.resume()
    await asyncio.sleep(plan.again_s)
    await edged.board.set_budget(budget_w)
    start_s = time.monotonic()
    await asyncio.sleep(SETTLED_S)
    mean_w(counters)  # the counter's look at the begin
    await asyncio.sleep(plan.span_s - SETTLED_S)
    span = Span(start_s, time.monotonic(), budget_w)
    measured_w, power = mean_w(counters), (await edged.board.state())["power"]
    await edged.load.under_way_ended()
    await edged.board.pause()
    figures = judged(read_record(edged.truth).truth(), span)
    told = f"{power['state']}: {power['why']}"
    return Governed(figures, edged.load.tokens_s(span), told, measured_w)


def mean_w(counters: Meter | None) -> float | None:
    """Return the watts since the last call by the machine's own counters; None without them."""
    if counters is None:
        return None
    try:
        return counters.read().watts_w
    except MeterLost:
        return None
