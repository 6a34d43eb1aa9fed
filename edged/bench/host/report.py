"""`edged bench power --board host`: control of real compute, as a table and as JSON.

In:  a broker, how many seeds.     Out: a table, a JSON object.
It says at its head what it is: watts of a hidden plant that follows the engine's CPU seconds. Where
this machine has energy counters that may be read, what they showed stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

from edged.bench.host import LABEL
from edged.bench.host.trial import Cell, Outcome, Plan, play
from edged.board.meters.powercap import PowercapMeter, find_zones
from edged.board.sysfs import SYS, optional_text
from edged.engine.threads import compute_threads
from edged.errors import ConfigError

BROKER = "127.0.0.1:1883"
HEAD = (
    "seed  limit W  mean W  10 s means W  over %  under %  peaks over %  tokens/s"
    "  best fixed duty  before, after  of its tokens"
)


def run(given: argparse.Namespace) -> int:
    """Run the benchmark; return 0.

    Raises:
        ConfigError: the broker's address is none.
        EdgedError: no broker answers, or the daemon cannot serve.
    """
    plan = _plan(given)
    print(f"{LABEL}\n")
    print(HEAD, flush=True)
    outcome = asyncio.run(play(plan, _counters(), lambda cell: print(_row(cell), flush=True)))
    print("\n".join(["", *table(outcome)]))
    if given.json:
        report = as_json(plan, outcome)
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _plan(given: argparse.Namespace) -> Plan:
    host, _, port = (given.broker or BROKER).rpartition(":")
    if not (host and port.isdigit()):
        raise ConfigError(f"--broker {given.broker}: HOST:PORT is wanted, as {BROKER}")
    seeds = tuple(range(1, given.seeds + 1))
    plan = Plan((host, int(port)), seeds=seeds, rounds=given.rounds)
    return _quick(plan) if given.quick else plan


def _quick(plan: Plan) -> Plan:
    """Return a trial of a minute and a half: nothing of it is a figure."""
    return replace(
        plan,
        seeds=plan.seeds[:1],
        budgets_w=(4.0, 6.0),
        rounds=1,
        lead_s=15.0,
        idle_s=6.0,
        again_s=4.0,
        span_s=14.0,
        full_s=6.0,
        tried_s=13.0,
        sweep=(0.2, 0.6),
    )


def _counters() -> PowercapMeter | None:
    """Return the machine's own energy counters, where this user may read them all."""
    zones = find_zones(SYS)
    is_readable = all(optional_text(zone.folder / "energy_uj") is not None for zone in zones)
    return PowercapMeter(zones) if zones and is_readable else None


def table(outcome: Outcome) -> list[str]:
    """Return what was found as lines of text: the rounds of each budget together."""
    budgets = by_budget(outcome.cells)
    medians = [median_ratio(cells) for cells in budgets]
    return [
        f"unthrottled: {outcome.full_cores:.2f} cores busy, {outcome.full_tokens_s:.0f} tokens/s",
        "seed  limit W  rounds  10 s means W  over %  under %  peaks over %  tokens/s"
        "  best fixed duty's  of its tokens: median, rounds",
        *(_together(cells) for cells in budgets),
        f"of its tokens, the median of the least budget: {min(medians):.3f}"
        if medians
        else "no budget was run",
        _measured(outcome.cells),
    ]


def by_budget(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """Return the rounds of each seed and budget; they ran one after the other."""
    rounds = groupby(cells, lambda cell: (cell.seed, cell.governed.figures.limit_w))
    return [tuple(found) for _, found in rounds]


def ratio(cell: Cell) -> float:
    """Return edged's tokens as a share of those of the best fixed duty around it."""
    return cell.governed.tokens_s / cell.best.tokens_s


def median_ratio(cells: Sequence[Cell]) -> float:
    """Return the median round's."""
    return statistics.median(map(ratio, cells))


def _together(cells: Sequence[Cell]) -> str:
    figures = [cell.governed.figures for cell in cells]
    rounds = " ".join(f"{ratio(cell):.3f}" for cell in cells)
    return (
        f"{cells[0].seed:4d} {figures[0].limit_w:8.1f} {len(cells):7d}   "
        f"{min(one.least_w for one in figures):.2f} - {max(one.worst_w for one in figures):.2f} "
        f"{_percent(one.over_share for one in figures):7.2f} "
        f"{_percent(one.under_share for one in figures):8.2f} "
        f"{_percent(one.peak_over_share for one in figures):13.2f} "
        f"{statistics.median(cell.governed.tokens_s for cell in cells):9.1f} "
        f"{statistics.median(cell.best.tokens_s for cell in cells):18.1f}  "
        f"{median_ratio(cells):.3f}, {rounds}"
    )


def _percent(shares: Iterable[float]) -> float:
    return 100 * statistics.mean(shares)


def _row(cell: Cell) -> str:
    figures, best = cell.governed.figures, cell.best
    duty = f"{best.share:.3f}, {best.tokens_s:.0f}/s"
    around = ", ".join(f"{one.tokens_s:.0f}" for one in cell.around)
    return (
        f"{cell.seed:4d} {figures.limit_w:8.1f} {figures.mean_w:7.2f}   "
        f"{figures.least_w:.2f} - {figures.worst_w:.2f} {100 * figures.over_share:7.2f} "
        f"{100 * figures.under_share:8.2f} {100 * figures.peak_over_share:13.2f} "
        f"{cell.governed.tokens_s:9.1f} {duty:>16} {around:>14} {ratio(cell):14.3f}"
    )


def _measured(cells: Sequence[Cell]) -> str:
    found = [cell.governed.measured_w for cell in cells]
    watts = [one for one in found if one is not None]
    if not watts:
        return "this machine has no energy counters that may be read: no watts were measured"
    return f"measured by this machine's energy counters: {min(watts):.1f} to {max(watts):.1f} W"


def as_json(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Return the report; watts are the referee's but for `measured_w`."""
    return {
        "label": LABEL,
        "machine": {"cores": os.cpu_count(), "threads": compute_threads()},
        "plan": asdict(plan),
        "unthrottled": {"cores": outcome.full_cores, "tokens_s": outcome.full_tokens_s},
        "sweep": [asdict(one) for one in outcome.sweep],
        "cells": [_as_json(cell) for cell in outcome.cells],
        "budgets": [
            {
                "seed": cells[0].seed,
                "limit_w": cells[0].governed.figures.limit_w,
                "ratio_median": median_ratio(cells),
            }
            for cells in by_budget(outcome.cells)
        ],
    }


def _as_json(cell: Cell) -> dict[str, Any]:
    return cell.governed.figures.as_json() | {
        "seed": cell.seed,
        "tokens_s": cell.governed.tokens_s,
        "best_fixed_duty": {"share": cell.best.share, "tokens_s": cell.best.tokens_s},
        "around": [asdict(one) for one in cell.around],
        "ratio": ratio(cell),
        "state": cell.governed.told,
        "measured_w": cell.governed.measured_w,
    }
