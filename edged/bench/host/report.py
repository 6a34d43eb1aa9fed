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
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from edged.bench.host import LABEL
from edged.bench.host.trial import Fixed, Governed, Plan, fixed, governed
from edged.board.meters.powercap import PowercapMeter, find_zones
from edged.board.sysfs import SYS, optional_text
from edged.engine.threads import compute_threads
from edged.errors import ConfigError

BROKER = "127.0.0.1:1883"


def run(given: argparse.Namespace) -> int:
    """Run the benchmark; return 0.

    Raises:
        ConfigError: the broker's address is none.
        EdgedError: no broker answers, or the daemon cannot serve.
    """
    plan = _plan(given)
    print(f"{LABEL}\n")
    rival, runs = asyncio.run(_play(plan))
    print("\n".join(table(rival, runs)))
    if given.json:
        report = as_json(plan, rival, runs)
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _plan(given: argparse.Namespace) -> Plan:
    host, _, port = (given.broker or BROKER).rpartition(":")
    if not (host and port.isdigit()):
        raise ConfigError(f"--broker {given.broker}: HOST:PORT is wanted, as {BROKER}")
    plan = Plan((host, int(port)), seeds=tuple(range(1, given.seeds + 1)))
    return _quick(plan) if given.quick else plan


def _quick(plan: Plan) -> Plan:
    """Return a trial of a minute and a half: nothing of it is a figure."""
    return replace(
        plan,
        seeds=plan.seeds[:1],
        budgets_w=(4.0, 6.0),
        lead_s=15.0,
        idle_s=6.0,
        span_s=14.0,
        full_s=4.0,
        tried_s=13.0,
        sweep=(0.25, 0.5),
    )


async def _play(plan: Plan) -> tuple[Fixed, list[Governed]]:
    rival = await fixed(plan)
    runs = [await governed(plan, seed, rival.full_cores, _counters()) for seed in plan.seeds]
    return rival, runs


def _counters() -> PowercapMeter | None:
    """Return the machine's own energy counters, where this user may read them all."""
    zones = find_zones(SYS)
    is_readable = all(optional_text(zone.folder / "energy_uj") is not None for zone in zones)
    return PowercapMeter(zones) if zones and is_readable else None


def table(rival: Fixed, runs: Sequence[Governed]) -> list[str]:
    """Return what was found as lines of text."""
    lines = [
        f"unthrottled: {rival.full_cores:.2f} cores busy, {rival.full_tokens_s:.0f} tokens/s",
        "seed  limit W  mean W  10 s means W  over %  under %  peaks over %  tokens/s"
        "  best fixed duty  of its tokens",
    ]
    for one in runs:
        for figures, tokens_s in zip(one.spans, one.tokens_s, strict=True):
            other = rival.best[one.seed, figures.limit_w]
            duty = f"{other.share:.3f}, {other.tokens_s:.0f}/s"
            lines.append(
                f"{one.seed:4d} {figures.limit_w:8.1f} {figures.mean_w:7.2f}   "
                f"{figures.least_w:.2f} - {figures.worst_w:.2f} {100 * figures.over_share:7.2f} "
                f"{100 * figures.under_share:8.2f} {100 * figures.peak_over_share:13.2f} "
                f"{tokens_s:9.1f} {duty:>16} {tokens_s / other.tokens_s:14.3f}"
            )
    return [*lines, _measured(runs)]


def _measured(runs: Sequence[Governed]) -> str:
    watts = [one for run in runs for one in run.measured_w if one is not None]
    if not watts:
        return "this machine has no energy counters that may be read: no watts were measured"
    return f"measured by this machine's energy counters: {min(watts):.1f} to {max(watts):.1f} W"


def as_json(plan: Plan, rival: Fixed, runs: Sequence[Governed]) -> dict[str, Any]:
    """Return the report; watts are the referee's but for `measured_w`."""
    return {
        "label": LABEL,
        "machine": {"cores": os.cpu_count(), "threads": compute_threads()},
        "plan": asdict(plan),
        "unthrottled": {"cores": rival.full_cores, "tokens_s": rival.full_tokens_s},
        "tried": [asdict(one) for one in rival.tried],
        "seeds": [{"seed": one.seed, "spans": _spans(rival, one)} for one in runs],
    }


def _spans(rival: Fixed, one: Governed) -> list[dict[str, Any]]:
    found = []
    for place, figures in enumerate(one.spans):
        other, tokens_s = rival.best[one.seed, figures.limit_w], one.tokens_s[place]
        found.append(
            figures.as_json()
            | {
                "tokens_s": tokens_s,
                "best_fixed_duty": {"share": other.share, "tokens_s": other.tokens_s},
                "ratio": tokens_s / other.tokens_s,
                "state": one.told[place],
                "measured_w": one.measured_w[place],
            }
        )
    return found
