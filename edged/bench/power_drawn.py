"""Governor and pacing against their oracles, on plants that neither governor knows.

In:  a scenario, an SoC, seeds.     Out: one `Drawn` for each plant; medians and worst cases.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edged.bench.power_judge import Figures
from edged.bench.power_play import play
from edged.bench.power_scenarios import Scenario
from edged.board.soc import Soc
from edged.board.virtual.plant import drawn

Plants = Mapping[str, Sequence["Drawn"]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came out on one plant.

    Attributes:
        share, pacing_share: useful tokens over those of the oracle with the same knobs.
        j_per_token_gain: joules per token saved against the best pacing alone, as a share.
        oracle_gain: the same of the oracle: what fixed clocks can save at all under this limit.
        over_share, peak_over_share: windows and peaks over, the worse of governor and pacing.
    """

    share: float
    pacing_share: float
    j_per_token_gain: float
    oracle_gain: float
    over_share: float
    peak_over_share: float


def on_plant(scenario: Scenario, soc: Soc, seed: int) -> Drawn:
    """Play governor and oracle, with all knobs and with pauses alone, on one drawn plant."""
    plant, paced = drawn(soc, seed), replace(scenario, knobs=frozenset())
    governor = play(scenario, soc, seed, plant, "governor").figures
    best = play(scenario, soc, seed, plant, "oracle").figures
    pacing = play(paced, soc, seed, plant, "governor").figures
    best_pacing = play(paced, soc, seed, plant, "oracle").figures
    return Drawn(
        share=_ratio(governor.useful_tokens, best.useful_tokens),
        pacing_share=_ratio(pacing.useful_tokens, best_pacing.useful_tokens),
        j_per_token_gain=_saved(governor, best_pacing),
        oracle_gain=_saved(best, best_pacing),
        over_share=max(governor.windows_over_share, pacing.windows_over_share),
        peak_over_share=max(governor.peak_over_share, pacing.peak_over_share),
    )


def _saved(one: Figures, other: Figures) -> float:
    return 1 - _ratio(one.j_per_token, other.j_per_token)


def _ratio(one: float | None, other: float | None) -> float:
    return one / other if one and other else 0.0


def summary(plants: Plants) -> dict[str, Any]:
    """Return medians and worst cases by cell, under the names that the report has for them."""
    return {
        "oracle_share": _middles(plants, "share"),
        "pacing_oracle_share": _middles(plants, "pacing_share"),
        "j_per_token_gain_vs_pacing": _middles(plants, "j_per_token_gain"),
        "oracle_j_per_token_gain_vs_pacing": _middles(plants, "oracle_gain"),
        "windows_over_share": _highest(plants, "over_share"),
        "peak_over_share": _highest(plants, "peak_over_share"),
    }


def _middles(plants: Plants, name: str) -> dict[str, dict[str, float]]:
    return {cell: _middle([getattr(one, name) for one in found]) for cell, found in plants.items()}


def _middle(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "worst": min(values)}


def _highest(plants: Plants, name: str) -> dict[str, float]:
    return {cell: max(getattr(one, name) for one in found) for cell, found in plants.items()}


def share_table(plants: Plants) -> list[str]:
    """Return the cells as lines of text; each figure is the median, then the worst."""
    lines = [
        "cell          of the oracle   pacing of its   J/token saved    the oracle's    over    "
        "peaks over"
    ]
    found = summary(plants)
    for cell in plants:
        middles = "  ".join(
            f"{found[name][cell]['median']:6.1%} {found[name][cell]['worst']:6.1%} "
            for name in (
                "oracle_share",
                "pacing_oracle_share",
                "j_per_token_gain_vs_pacing",
                "oracle_j_per_token_gain_vs_pacing",
            )
        )
        over, peaks = found["windows_over_share"][cell], found["peak_over_share"][cell]
        lines.append(f"{cell:11}  {middles}  {over:.2%}   {peaks:.2%}")
    return lines
