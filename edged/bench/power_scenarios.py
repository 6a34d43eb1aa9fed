"""The scenarios of the power benchmark: load, limits, surroundings and faults over time.

In:  nothing.     Out: `SCENARIOS`; each arm meets the same ones.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from edged.bench.power_judge import Span
from edged.board.soc import KNOBS, Soc
from edged.board.virtual.engine import Request
from edged.board.virtual.sensor import Chip, Fault
from edged.power.budget import Budget, Limits

# The board idles first, as after every start: the floor is learned then.
LEAD_S = 15.0
NEVER_S = 1e9
INA226 = Chip()
END_S = 315.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One test of an arm.

    Attributes:
        budgets: (from when, budget_w), in order.
        loaded: (from, until) when the load saturates the engine; figures are of these times.
        load: makes the requests, the same for every arm.
        plant: changes the plant that was drawn.
    """

    name: str
    budgets: tuple[tuple[float, float], ...] = ((0.0, 4.0),)
    loaded: tuple[tuple[float, float], ...] = ((LEAD_S, END_S),)
    load: Callable[[], Iterator[Request]] = lambda: saturated(LEAD_S)
    end_s: float = END_S
    knobs: frozenset[str] = KNOBS
    ambient_c: float = 25.0
    chip: Chip = INA226
    fault: Fault | None = None
    plant: Callable[[Soc], Soc] = lambda soc: soc

    def limits(self, at_s: float) -> Limits:
        """Return the limits in force at a moment."""
        budget_w = [watts for from_s, watts in self.budgets if from_s <= at_s][-1]
        return Budget(budget_w=budget_w).limits()

    def spans(self) -> list[Span]:
        """Return the times between events, each with its limits and whether it is loaded."""
        edges = {0.0, self.end_s, *(from_s for from_s, _ in self.budgets)}
        edges |= {edge for pair in self.loaded for edge in pair}
        return [
            Span(start_s, end_s, self.limits(start_s), self._is_loaded(start_s))
            for start_s, end_s in itertools.pairwise(sorted(edges))
        ]

    def _is_loaded(self, at_s: float) -> bool:
        return any(start_s <= at_s < end_s for start_s, end_s in self.loaded)


def saturated(from_s: float, until_s: float = NEVER_S) -> Iterator[Request]:
    """Yield more prompts of 256 tokens and answers of 60 than can be served.

    The first ones are short, so that the sequences of the batch do not run in step.
    """
    for place in range(1, 9):
        yield Request(from_s, 256, 60 * place // 8, until_s)
    while True:
        yield Request(from_s, 256, 60, until_s)


def _load_step() -> Iterator[Request]:
    yield from itertools.islice(saturated(60.0, 180.0), 2000)
    yield from itertools.islice(saturated(240.0, END_S), 2000)


def _prefill_burst() -> Iterator[Request]:
    """A light load, and twice a dozen long prompts at once."""
    random_ = random.Random("prefill burst")
    light = [
        Request(at_s, 64, 30, at_s + 60)
        for at_s in (LEAD_S + 4.0 * number + random_.random() for number in range(75))
    ]
    bursts = [Request(at_s, 2048, 20, at_s + 120) for at_s in (60.0, 180.0) for _ in range(12)]
    yield from sorted(light + bursts, key=lambda request: request.arrival_s)


def _unplugged(now_s: float, power_w: float) -> float | None:
    return None if 100.0 <= now_s < 200.0 else power_w


def _mainline(soc: Soc) -> Soc:
    """Idle of 3.5 W; the DDR always at its top clock, which that idle holds already."""
    return replace(soc, idle_w=3.5 + soc.idle_w - 1.4, ddr_base_w=0.0)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("saturated"),
        Scenario("saturated_3w", budgets=((0.0, 3.0),)),
        Scenario("load_step", load=_load_step, loaded=((60.0, 180.0), (240.0, END_S))),
        Scenario("prefill_burst", load=_prefill_burst, loaded=((60.0, 100.0), (180.0, 220.0))),
        Scenario(
            "budget_step",
            budgets=((0.0, 6.0), (115.0, 4.0), (215.0, 3.0)),
        ),
        Scenario("hot", ambient_c=55.0),
        Scenario("sensor_loss", fault=_unplugged),
        Scenario("pacing_only", knobs=frozenset()),
        Scenario("mainline_idle", plant=_mainline, knobs=frozenset({"cpu", "npu"})),
        Scenario("infeasible", budgets=((0.0, 3.0),), plant=_mainline, knobs=frozenset({"cpu"})),
        Scenario("meter_gain", chip=Chip(gain=0.98, error_share=0.02)),
    )
}
