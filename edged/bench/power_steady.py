"""How steady an arm is under a steady load: ripple, clock changes, limit cycles.

In:  an SoC, a budget.     Out: `Steady` for each arm.
Three loads. An even one, long answers and nothing else, whose watts change by what the arm does and
by nothing else. The saturated one, whose prompts come in turns of their own. A random one, whose
lengths have no rhythm: what cycles there is the arm.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from edged.bench.power_judge import SAMPLE_S, Floats, Truth
from edged.bench.power_play import play
from edged.bench.power_scenarios import LEAD_S, NEVER_S, Scenario
from edged.board.soc import Soc
from edged.board.virtual.engine import Request
from edged.board.virtual.plant import Board, drawn
from edged.power.budget import Limits

# Bang-bang is the arm that a limit cycle is sure to be found with.
STEADY_ARMS = ("governor", "oracle", "bang_bang")
SETTLED_S = 60.0
STEADY_END_S = SETTLED_S + 300.0
# 1500 means of one second each: peaks of chance alone stay under 0.2.
UNEVEN_END_S = SETTLED_S + 1500.0
LAG_S_MIN, LAG_S_MAX = 3.0, 60.0
LAG_STEP = 5


@dataclass(frozen=True, slots=True)
class Steady:
    """How steady one arm was.

    Attributes:
        ripple_share: peak to peak of the window's mean in five minutes of even load, as a share
            of the limit.
        saturated_ripple_share: the same under the saturated load.
        clock_changes: in five minutes, the more of both loads.
        limit_cycle: how far a peak stands out of the autocorrelation of the 1 s mean under the
            random load, at lags of 3 to 60 s.
    """

    ripple_share: float
    saturated_ripple_share: float
    clock_changes: int
    limit_cycle: float


def steadiness(scenario: Scenario, soc: Soc) -> dict[str, Steady]:
    """Return how steady the arms are on the nominal plant with the scenario's budget."""
    return {arm: _steady(scenario, soc, arm) for arm in STEADY_ARMS}


def _steady(scenario: Scenario, soc: Soc, arm: str) -> Steady:
    def board(load: Callable[[], Iterator[Request]], end_s: float) -> Board:
        played = replace(scenario, end_s=end_s, loaded=((LEAD_S, end_s),), load=load)
        return play(played, soc, 1, drawn(soc, 0), arm).board

    limits = scenario.limits(0.0)
    even, mixed = board(even_load, STEADY_END_S), board(scenario.load, STEADY_END_S)
    uneven = Truth(board(uneven_load, UNEVEN_END_S))
    cycle = limit_cycle(uneven.means_w(SETTLED_S, UNEVEN_END_S, 1.0), LAG_S_MIN, LAG_S_MAX)
    return Steady(
        ripple_share=_ripple(even, limits),
        saturated_ripple_share=_ripple(mixed, limits),
        clock_changes=max(_changes(even), _changes(mixed)),
        limit_cycle=round(cycle, 3),
    )


def _ripple(board: Board, limits: Limits) -> float:
    means_w = Truth(board).means_w(SETTLED_S, STEADY_END_S, limits.window_s)
    return round(float(np.ptp(means_w)) / limits.mean_w, 4)


def _changes(board: Board) -> int:
    return sum(at_s >= SETTLED_S for at_s in board.clock_changes_s)


def even_load() -> Iterator[Request]:
    """Yield eight answers without an end."""
    for _ in range(8):
        yield Request(LEAD_S, 32, 1_000_000, NEVER_S)


def uneven_load() -> Iterator[Request]:
    """Yield more prompts than can be served, as long in the mean as saturated ones, none alike."""
    random_ = random.Random("uneven")
    while True:
        yield Request(LEAD_S, random_.randint(64, 448), random_.randint(20, 100), NEVER_S)


def limit_cycle(means_w: Floats, lag_s_min: float, lag_s_max: float) -> float:
    """Return how far a peak of a mean's autocorrelation stands out: 0 for none, near 2 for a sine.

    It is the rise from the lowest value to a later, higher one: what only drifts, as heat does,
    falls and never rises again.
    """
    centred = means_w - means_w.mean()
    power = float(centred @ centred)
    if power <= 0:
        return 0.0
    lags = range(int(lag_s_min / SAMPLE_S), int(lag_s_max / SAMPLE_S), LAG_STEP)
    kept = np.array([float(centred[:-lag] @ centred[lag:]) / power for lag in lags])
    return float((kept - np.minimum.accumulate(kept)).max())


def steady_table(found: Mapping[str, Mapping[str, Steady]]) -> list[str]:
    """Return the cells as lines of text."""
    lines = ["cell         arm        ripple  saturated   clock changes in 5 min   limit cycle"]
    for cell, arms in found.items():
        lines += [
            f"{cell:12} {arm:10} {one.ripple_share:6.2%} {one.saturated_ripple_share:10.2%} "
            f"{one.clock_changes:24d} {one.limit_cycle:13.2f}"
            for arm, one in arms.items()
        ]
    return lines


def as_json(found: Mapping[str, Mapping[str, Steady]]) -> dict[str, dict[str, object]]:
    """Return the cells as a JSON object."""
    return {cell: {arm: asdict(one) for arm, one in arms.items()} for cell, arms in found.items()}
