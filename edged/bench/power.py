"""`edged bench power`: the governor and its rivals on virtual boards, judged by the plant's truth.

In:  which board, how many drawn plants.     Out: a table, a JSON object, on request a plot.
Everything it prints is simulated and says so; nothing here was measured on a board.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from edged.bench import power_estimate
from edged.bench.power_judge import Figures, Truth, limit_cycle
from edged.bench.power_play import ARMS, Played, cpu_share, play
from edged.bench.power_scenarios import LEAD_S, SCENARIOS, Scenario
from edged.board.soc import SOCS, Soc
from edged.board.virtual import LABEL
from edged.board.virtual.plant import drawn
from edged.errors import ConfigError

CELLS = (("saturated", "4W"), ("saturated_3w", "3W"))
# Keys of the JSON's scenarios; the rest of `Figures` stands in its own object.
KEYS = (
    "mean_w",
    "window_mean_max_w",
    "windows_over_share",
    "peak_max_w",
    "settle_s",
    "useful_tokens",
    "j_per_token",
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Governor and pacing against their oracles on one drawn plant."""

    share: float
    pacing_share: float
    j_per_token_gain: float
    worst_over_share: float
    worst_peak_over_share: float


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
    print("\n".join(table(played)))
    report = _report(played)
    if not given.scenario:
        report["steadiness"] = steadiness(soc)
        report["governor_cpu_share"] = cpu_share(SCENARIOS["saturated"], soc, drawn(soc, 0))
        print(f"\nsteadiness, nominal plant at 4 W: {report['steadiness']}")
    if not given.scenario and given.plants > 0:
        shares = {
            f"{one.name}@{cell}": (one, name) for one in SOCS.values() for name, cell in CELLS
        }
        drawn_plants = {
            key: [on_plant(SCENARIOS[name], one, seed) for seed in range(1, given.plants + 1)]
            for key, (one, name) in shares.items()
        }
        report |= summary(drawn_plants)
        print("\n" + "\n".join(share_table(drawn_plants)))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if given.plot:
        from edged.bench.power_plot import draw

        draw({name: played[name] for name in ("saturated", "budget_step") if name in played},
             SCENARIOS, given.plot)  # fmt: skip
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


def scenario_arms(scenario: Scenario, soc: Soc) -> dict[str, Played]:
    """Play every arm on the nominal plant."""
    plant = drawn(soc, 0)
    return {arm: play(scenario, soc, 1, plant, arm) for arm in ARMS}


def on_plant(scenario: Scenario, soc: Soc, seed: int) -> Drawn:
    """Compare governor and pacing with their oracles on a plant that neither knows."""
    plant, paced = drawn(soc, seed), replace(scenario, knobs=frozenset())
    governor = play(scenario, soc, seed, plant, "governor").figures
    best = play(scenario, soc, seed, plant, "oracle").figures
    pacing = play(paced, soc, seed, plant, "governor").figures
    best_pacing = play(paced, soc, seed, plant, "oracle").figures
    return Drawn(
        share=_ratio(governor.useful_tokens, best.useful_tokens),
        pacing_share=_ratio(pacing.useful_tokens, best_pacing.useful_tokens),
        j_per_token_gain=1 - _ratio(governor.j_per_token, best_pacing.j_per_token),
        worst_over_share=max(governor.windows_over_share, pacing.windows_over_share),
        worst_peak_over_share=max(governor.peak_over_share, pacing.peak_over_share),
    )


def _ratio(one: float | None, other: float | None) -> float:
    return one / other if one and other else 0.0


def steadiness(soc: Soc) -> dict[str, float]:
    """Return how steady five minutes of even load are, for governor and oracle.

    `limit_cycle` is the highest autocorrelation of the window's mean at lags of 2 to 60 s.
    """
    scenario = replace(SCENARIOS["saturated"], end_s=360.0, loaded=((LEAD_S, 360.0),))
    found = {}
    for arm in ("governor", "oracle"):
        board = play(scenario, soc, 1, drawn(soc, 0), arm).board
        means_w = Truth(board).means_w(60.0, 360.0, scenario.limits(0.0).window_s)
        found[f"{arm}_ripple_share"] = float(means_w.max() - means_w.min()) / 4.0
        found[f"{arm}_limit_cycle"] = limit_cycle(means_w, 10.0, 60.0)
        found[f"{arm}_clock_changes"] = float(sum(at_s >= 60.0 for at_s in board.clock_changes_s))
    return {name: round(value, 4) for name, value in found.items()}


def _report(played: Mapping[str, Mapping[str, Played]]) -> dict[str, Any]:
    scenarios = {
        name: {arm: _keyed(one.figures) for arm, one in arms.items()}
        for name, arms in played.items()
    }
    others = {
        name: {arm: _others(one.figures) for arm, one in arms.items()}
        for name, arms in played.items()
    }
    return {"label": LABEL, "scenarios": scenarios, "more": others}


def _keyed(figures: Figures) -> dict[str, Any]:
    every = asdict(figures)
    return {key: every[key] for key in KEYS}


def _others(figures: Figures) -> dict[str, Any]:
    return {key: value for key, value in asdict(figures).items() if key not in KEYS}


def summary(drawn_plants: Mapping[str, Iterable[Drawn]]) -> dict[str, Any]:
    """Return medians and worst cases over the drawn plants."""
    kept = {key: list(plants) for key, plants in drawn_plants.items()}
    return {
        "oracle_share": {key: _middle([one.share for one in found]) for key, found in kept.items()},
        "pacing_oracle_share": {
            key: _middle([one.pacing_share for one in found]) for key, found in kept.items()
        },
        "j_per_token_gain_vs_pacing": {
            key: _middle([one.j_per_token_gain for one in found]) for key, found in kept.items()
        },
        "drawn_windows_over_share": {
            key: max(one.worst_over_share for one in found) for key, found in kept.items()
        },
        "drawn_peak_over_share": {
            key: max(one.worst_peak_over_share for one in found) for key, found in kept.items()
        },
    }


def _middle(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "worst": min(values)}


def table(played: Mapping[str, Mapping[str, Played]]) -> list[str]:
    """Return the scenarios as lines of text."""
    lines = [
        "scenario       arm            mean W  worst W   over %  peak W  settle s  tokens   J/token"
    ]
    for name, arms in played.items():
        for arm, one in arms.items():
            figures = one.figures
            cost = "-" if figures.j_per_token is None else f"{figures.j_per_token:.4f}"
            lines.append(
                f"{name:14} {arm:13} {figures.mean_w:7.2f} {figures.window_mean_max_w:8.2f} "
                f"{100 * figures.windows_over_share:8.2f} {figures.peak_max_w:7.2f} "
                f"{figures.settle_s:9.2f} {figures.useful_tokens:7d} {cost:>9}"
            )
    return lines


def share_table(drawn_plants: Mapping[str, Iterable[Drawn]]) -> list[str]:
    """Return the shares of the oracle as lines of text."""
    lines = ["cell         of the oracle   pacing of its oracle   J/token under best pacing   over"]
    for key, plants in drawn_plants.items():
        found = list(plants)
        share = _middle([one.share for one in found])
        pacing = _middle([one.pacing_share for one in found])
        gain = _middle([one.j_per_token_gain for one in found])
        over = max(one.worst_over_share for one in found)
        lines.append(
            f"{key:12} {share['median']:.3f} >= {share['worst']:.3f}  {pacing['median']:.3f} >= "
            f"{pacing['worst']:.3f}         {gain['median']:.1%} >= {gain['worst']:.1%}        "
            f"      {over:.2%}"
        )
    return lines
