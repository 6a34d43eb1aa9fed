"""Draws watts, limits and tokens per second over time.

In:  runs of the benchmark.     Out: an SVG or PNG file. Wants matplotlib, from the `bench` extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edged.bench.power_judge import Truth
from edged.bench.power_play import Played
from edged.bench.power_scenarios import Scenario
from edged.board.virtual import LABEL
from edged.errors import ConfigError


def draw(
    played: Mapping[str, Mapping[str, Played]], scenarios: Mapping[str, Scenario], file: Path
) -> None:
    """Write one row for each scenario: 1 s means of each arm with the limits, and token rates.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "--plot needs matplotlib: install edged with its `bench` extra, or leave --plot out"
        ) from error
    figure = Figure(figsize=(11, 4 * len(played)), layout="constrained")
    axes = figure.subplots(len(played), 2, squeeze=False, width_ratios=(3, 1))
    for row, (name, arms) in enumerate(played.items()):
        scenario = scenarios[name]
        watts, rates = axes[row]
        for arm, one in arms.items():
            means_w = Truth(one.board).means_w(0.0, scenario.end_s, 1.0)
            watts.plot(np.arange(len(means_w)) * 0.05 + 1.0, means_w, label=arm, linewidth=0.8)
            loaded_s = sum(end_s - start_s for start_s, end_s in scenario.loaded)
            rates.bar(arm, one.figures.useful_tokens / loaded_s)
        for span in scenario.spans():
            watts.hlines(span.limits.mean_w, span.start_s, span.end_s, "black", "solid")
            watts.hlines(span.limits.peak_w, span.start_s, span.end_s, "black", "dotted")
        watts.set(title=f"{name} ({LABEL}, simulated)", xlabel="s", ylabel="W, mean of 1 s")
        watts.legend(fontsize=7, ncols=3)
        rates.set(ylabel="useful tokens/s")
        rates.tick_params(axis="x", rotation=60)
    figure.savefig(file)
