"""The runs: the engine unthrottled and at fixed shares of the time, and edged under budgets.

In:  a broker, seeds, how long.     Out: `Fixed` for all seeds, `Governed` for each.
Every run has a daemon and a referee of its own. The rival meets the same plants: one referee runs
them all beside each other, since the engine that it stops sees none of them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edged.bench.folder import in_memory
from edged.bench.host.duty import SWEEP, FixedDuty, Tried, at_limit
from edged.bench.host.judge import Figures, Record, Span, judged, read_record
from edged.bench.host.load import Load
from edged.bench.host.processes import Daemon, daemon, lock_file, referee
from edged.bench.power_judge import SETTLED_S
from edged.board.meter import Meter
from edged.errors import MeterLost

# Answers under way at the end of a run are ended at full speed, so that their tokens count.
DRAIN_S, DRAIN_W = 6.0, 100.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes, and under which budgets.

    Attributes:
        budgets_w: one after the other, `span_s` each, from `lead_s` after the daemon was ready.
        idle_s: of the lead, before the first prompt: the idle floor is learned.
        tried_s: of one fixed share.
        refinements: how many shares are tried for each plant and budget beside the sweep.
    """

    broker: tuple[str, int]
    seeds: tuple[int, ...] = (1, 2, 3)
    budgets_w: tuple[float, ...] = (4.0, 6.0, 3.0)
    lead_s: float = 60.0
    idle_s: float = 10.0
    span_s: float = 40.0
    full_s: float = 10.0
    tried_s: float = 16.0
    sweep: tuple[float, ...] = SWEEP
    refinements: int = 1


@dataclass(frozen=True, slots=True)
class Fixed:
    """The rival.

    Attributes:
        full_cores: what the engine keeps busy unthrottled, the plants' full load.
        full_tokens_s: output tokens per second then.
        best: by seed and budget.
    """

    full_cores: float
    full_tokens_s: float
    tried: tuple[Tried, ...]
    best: dict[tuple[int, float], Tried]


@dataclass(frozen=True, slots=True)
class Governed:
    """One seed under edged.

    Attributes:
        tokens_s: output tokens per second in each span, settled.
        told: what `state` said at the end of each.
        measured_w: mean of each span by the machine's own energy counters; None without them.
    """

    seed: int
    spans: tuple[Figures, ...]
    tokens_s: tuple[float, ...]
    told: tuple[str, ...]
    measured_w: tuple[float | None, ...]


async def fixed(plan: Plan) -> Fixed:
    """Measure the engine unthrottled, then search the best fixed share of each plant and budget."""
    with in_memory() as name:
        folder = Path(name)
        # An empty /sys: no meter, so that nothing paces the engine but the signals.
        power = {"enforce": "never", "sysfs": str(folder)}
        async with daemon(folder, plan.broker, power) as board, _loaded(board) as load:
            await asyncio.sleep(SETTLED_S + plan.full_s / 2)
            full_cores, full_tokens_s = await _unthrottled(plan, folder, load)
            truth, lock = folder / "truth", lock_file(folder)
            async with referee(truth, lock, full_cores, plan.seeds), _stopped(board) as duty:
                tried, found = await _search(plan, truth, load, duty)
    return Fixed(full_cores, full_tokens_s, tried, found)


async def _unthrottled(plan: Plan, folder: Path, load: Load) -> tuple[float, float]:
    """Return cores and tokens per second of the engine as it runs freely."""
    truth = folder / "full"
    async with referee(truth, lock_file(folder), 1.0, plan.seeds):
        start_s = time.monotonic()
        await asyncio.sleep(plan.full_s)
        end_s = time.monotonic()
    await asyncio.sleep(DRAIN_S / 2)
    return read_record(truth).cores(start_s, end_s), load.tokens(start_s, end_s) / (end_s - start_s)


async def _search(
    plan: Plan, truth: Path, load: Load, duty: FixedDuty
) -> tuple[tuple[Tried, ...], dict[tuple[int, float], Tried]]:
    """Try the sweep, then for each plant and budget the share that should fit."""
    runs = [await _try(plan, truth, duty, share) for share in plan.sweep]
    cells = list(itertools.product(plan.seeds, plan.budgets_w))
    for seed, limit_w in cells * plan.refinements:
        share = at_limit([one for _, one in runs], seed, limit_w).share
        runs.append(await _try(plan, truth, duty, share))
    duty.share = 1.0
    await asyncio.sleep(DRAIN_S)
    tried = tuple(replace(one, tokens_s=_tokens_s(load, span)) for span, one in runs)
    return tried, {(seed, limit_w): at_limit(tried, seed, limit_w) for seed, limit_w in cells}


async def _try(plan: Plan, truth: Path, duty: FixedDuty, share: float) -> tuple[Span, Tried]:
    """Run a fixed share for a while; its tokens are counted when its answers have ended."""
    duty.share = share
    start_s = time.monotonic()
    await asyncio.sleep(plan.tried_s)
    span = Span(start_s, time.monotonic(), 1.0)
    record = read_record(truth)
    worst_w = {
        seed: judged(record.truth(place), span).worst_w for place, seed in enumerate(plan.seeds)
    }
    return span, Tried(share, 0.0, worst_w)


async def governed(plan: Plan, seed: int, full_cores: float, counters: Meter | None) -> Governed:
    """Run edged under each budget on one plant."""
    with in_memory() as name:
        folder = Path(name)
        truth, tree, lock = folder / "truth", folder / "sys", lock_file(folder)
        power = {"budget_w": plan.budgets_w[0], "sysfs": str(tree)}
        async with (
            referee(truth, lock, full_cores, [seed], tree),
            daemon(folder, plan.broker, power) as board,
        ):
            ready_s = time.monotonic()
            await asyncio.sleep(plan.idle_s)
            async with _loaded(board) as load:
                await asyncio.sleep(ready_s + plan.lead_s - time.monotonic())
                parts = [await _span(plan, board, watts, counters) for watts in plan.budgets_w]
                await board.set_budget(DRAIN_W)
                await asyncio.sleep(DRAIN_S)
            record = read_record(truth)
    return _governed(seed, record, load, parts)


@dataclass(frozen=True, slots=True)
class _Part:
    """A span as it was played."""

    span: Span
    told: str
    measured_w: float | None


async def _span(plan: Plan, board: Daemon, budget_w: float, counters: Meter | None) -> _Part:
    """Hold one budget for a while; the first one holds already, and is said again."""
    await board.set_budget(budget_w)
    start_s = time.monotonic()
    await asyncio.sleep(SETTLED_S)
    mean_w(counters)  # the counter's look at the begin
    await asyncio.sleep(plan.span_s - SETTLED_S)
    span = Span(start_s, time.monotonic(), budget_w)
    measured_w, power = mean_w(counters), (await board.state())["power"]
    return _Part(span, f"{power['state']}: {power['why']}", measured_w)


def mean_w(counters: Meter | None) -> float | None:
    """Return the watts since the last call by the machine's own counters; None without them."""
    if counters is None:
        return None
    try:
        return counters.read().watts_w
    except MeterLost:
        return None


def _governed(seed: int, record: Record, load: Load, parts: Sequence[_Part]) -> Governed:
    truth = record.truth()
    return Governed(
        seed,
        tuple(judged(truth, part.span) for part in parts),
        tuple(_tokens_s(load, part.span) for part in parts),
        tuple(part.told for part in parts),
        tuple(part.measured_w for part in parts),
    )


def _tokens_s(load: Load, span: Span) -> float:
    return load.tokens(span.settled_s, span.end_s) / (span.end_s - span.settled_s)


@asynccontextmanager
async def _loaded(board: Daemon) -> AsyncIterator[Load]:
    """Keep the board saturated until the block ends."""
    load = Load(board.settings)
    async with _beside(load.run()):
        yield load


@asynccontextmanager
async def _stopped(board: Daemon) -> AsyncIterator[FixedDuty]:
    """Stop and continue the engine until the block ends."""
    duty = FixedDuty(board.engine_pid)
    async with _beside(duty.run()):
        yield duty


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something beside the block; what fails in either ends both, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(work)
            yield
            task.cancel()
    except ExceptionGroup as group:
        raise _first(group) from group


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error
