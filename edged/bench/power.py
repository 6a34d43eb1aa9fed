"""`edged bench power`: the governor and its rivals on virtual boards, judged by the plant's truth.

In:  which board, how many drawn plants.     Out: tables, a JSON object, on request a plot.
Everything it prints is simulated and says so; nothing here was measured on a board.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edged.bench import power_estimate
from edged.bench.power_drawn import Drawn, on_plant, share_table, summary
from edged.bench.power_judge import Figures
from edged.bench.power_play import ARMS, Played, cpu_share, play
from edged.bench.power_scenarios import SCENARIOS, Scenario
from edged.bench.power_steady import Steady, as_json, steadiness, steady_table
from edged.board.soc import SOCS, Soc
from edged.board.virtual import LABEL
from edged.board.virtual.plant import drawn
from edged.errors import ConfigError

CELLS = {
    f"{soc.name}@{watts}": (SCENARIOS[name], soc)
    for soc in SOCS.values()
    for name, watts in (("saturated", "4W"), ("saturated_3w", "3W"))
}
# Keys of an arm in the JSON's scenarios; the rest of `Figures` stands under `more`.
KEYS = (
    "mean_w",
    "window_mean_max_w",
    "windows_over_share",
    "peak_max_w",
    "settle_s",
    "useful_tokens",
    "j_per_token",
)
# An arm holds its limits when no more windows than this are over them.
HELD_SHARE = 0.001
PLOTTED = ("saturated", "budget_step")


def run(given: argparse.Namespace) -> int:
    """Run the benchmark; return 0.

    Raises:
        ConfigError: there is no such scenario.
    """
    soc = SOCS[given.board]
    if given.estimate:
        return _estimate(given)
    if given.scenario and given.scenario not in SCENARIOS:
        known = ", ".join(sorted(SCENARIOS))
        raise ConfigError(f"--scenario {given.scenario}: there is none; there are: {known}")
    names = [given.scenario] if given.scenario else list(SCENARIOS)
    print(f"{LABEL} {soc.name}: simulated, nothing of this was measured on a board\n")
    played = {name: scenario_arms(SCENARIOS[name], soc) for name in names}
    print("\n".join(table(played)), flush=True)
    report = scenario_report(played)
    if not given.scenario:
        _add_steadiness(report, soc)
    if not given.scenario and given.plants > 0:
        _add_plants(report, given.plants)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if given.plot:
        from edged.bench.power_plot import draw

        draw({name: played[name] for name in PLOTTED if name in played}, SCENARIOS, given.plot)
    return 0


def _estimate(given: argparse.Namespace) -> int:
    """Print the estimate's errors on every kind of board; return 0."""
    seeds = range(1, max(1, given.plants) + 1)
    found = [
        (one, [power_estimate.errors(one, seed) for seed in seeds]) for one in power_estimate.BOARDS
    ]
    print(f"{LABEL}: simulated, nothing of this was measured on a board\n")
    print("\n".join(power_estimate.table(found)))
    if given.json:
        report = {one.name: [asdict(plant) for plant in plants] for one, plants in found}
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _add_steadiness(report: dict[str, Any], soc: Soc) -> None:
    """Play the steady loads; print them, and what the governor itself costs."""
    found: dict[str, dict[str, Steady]] = {
        cell: steadiness(scenario, one) for cell, (scenario, one) in CELLS.items()
    }
    report["governor_cpu_share"] = cpu_share(SCENARIOS["saturated"], soc, drawn(soc, 0))
    report["more"]["steadiness"] = as_json(found)
    print("\nsteady load, nominal plants\n" + "\n".join(steady_table(found)))
    print(f"\nthe law's own cost: {report['governor_cpu_share']:.4%} of a core", flush=True)


def _add_plants(report: dict[str, Any], plants: int) -> None:
    """Play the drawn plants; print them."""
    found: dict[str, list[Drawn]] = {
        cell: [on_plant(scenario, soc, seed) for seed in range(1, plants + 1)]
        for cell, (scenario, soc) in CELLS.items()
    }
    figures = summary(found)
    for name in ("oracle_share", "j_per_token_gain_vs_pacing"):
        report[name] = figures.pop(name)
    report["more"]["drawn_plants"] = figures
    print(f"\n{plants} drawn plants, the median, then the worst")
    print("\n".join(share_table(found)))


def scenario_arms(scenario: Scenario, soc: Soc) -> dict[str, Played]:
    """Play every arm on the nominal plant."""
    plant = drawn(soc, 0)
    return {arm: play(scenario, soc, 1, plant, arm) for arm in ARMS}


def scenario_report(played: Mapping[str, Mapping[str, Played]]) -> dict[str, Any]:
    """Return the report's scenarios; under `more` what else was judged."""
    figures = {
        name: {arm: one.figures for arm, one in arms.items()} for name, arms in played.items()
    }
    return {
        "label": LABEL,
        "scenarios": {
            name: {arm: _keyed(one) for arm, one in arms.items()} for name, arms in figures.items()
        },
        "more": {
            "scenarios": {
                name: {arm: _others(one) for arm, one in arms.items()}
                for name, arms in figures.items()
            }
        },
    }


def _keyed(figures: Figures) -> dict[str, Any]:
    every = asdict(figures)
    return {key: every[key] for key in KEYS} | {"j_per_token": _valid_j_per_token(figures)}


def _others(figures: Figures) -> dict[str, Any]:
    return {key: value for key, value in asdict(figures).items() if key not in KEYS}


def _valid_j_per_token(figures: Figures) -> float | None:
    """Return the joules per token; None of an arm that does not hold its limits: it is void."""
    is_held = max(figures.windows_over_share, figures.peak_over_share) <= HELD_SHARE
    return figures.j_per_token if is_held else None


def table(played: Mapping[str, Mapping[str, Played]]) -> list[str]:
    """Return the scenarios as lines of text."""
    lines = [
        "scenario       arm            mean W  worst W   over %  peak W  peaks over %  settle s  "
        "tokens   J/token"
    ]
    for name, arms in played.items():
        lines += [_line(name, arm, one.figures) for arm, one in arms.items()]
    return lines


def _line(name: str, arm: str, figures: Figures) -> str:
    joules = _valid_j_per_token(figures)
    cost = f"{joules:.4f}" if joules is not None else "void" if figures.j_per_token else "-"
    return (
        f"{name:14} {arm:13} {figures.mean_w:7.2f} {figures.window_mean_max_w:8.2f} "
        f"{100 * figures.windows_over_share:8.2f} {figures.peak_max_w:7.2f} "
        f"{100 * figures.peak_over_share:13.2f} {figures.settle_s:9.2f} "
        f"{figures.useful_tokens:7d} {cost:>9}"
    )
