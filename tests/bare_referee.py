"""The referee's plants under the law alone, in virtual time: steps of milliseconds and no daemon.

In:  a seed, budgets.     Out: what each drew and how busy it was; the best fixed share of the time.
The plant sees the mean load of each look, as the referee does; the chip is read and dated as the
daemon's own meter reads it. Deterministic by seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from edged.bench.host.duty import PERIOD_S
from edged.bench.host.judge import Figures, Joules, Span, judged
from edged.bench.host.plant import Chip, Plant, drawn
from edged.bench.power_judge import SETTLED_S, Truth
from edged.board.meters.conversions import Conversions
from edged.board.soc import operating_points
from edged.power.budget import Budget
from edged.power.forecast import Forecast, Learned, Step
from edged.power.governor import BURST_S
from edged.power.law import Law, Settings
from edged.power.outfit import STRANGER
from edged.power.plausible import Metered

LOOK_S, AVERAGING_S, READ_S = 0.02, 0.125, 0.1125
IDLE_S, LEAD_S, SPAN_S = 10.0, 60.0, 40.0
# A small model on two cores: eight sequences, prompts of 256 tokens, by turns.
DECODE_S, PREFILL_TOKEN_S = 0.004, 0.00008
STEPS = (Step("prefill", 256), *[Step("decode", 8)] * 11)
# The rival's shares are tried for so long; the last windows count.
TRIED_S, JUDGED_S = 46.0, 16.0


class Machine:
    """A plant and its chip, looked at as often as the referee looks."""

    def __init__(self, seed: int) -> None:
        self._plant = Plant(drawn(seed), 0.0)
        self.chip = Chip(drawn(seed), seed, AVERAGING_S, 0.0)
        self.now_s = self._busy_s = 0.0
        self._look_s = LOOK_S
        self._times_s, self._joules = [0.0], [0.0]

    @property
    def truth(self) -> Truth:
        """Return what was drawn."""
        return Truth(Joules(self._times_s, self._joules))

    def run(self, until_s: float, load: float) -> None:
        """Be so busy until then."""
        while self._look_s <= until_s:
            self._pass(self._look_s, load)
            self._plant.advance(self.now_s, self._busy_s / LOOK_S)
            self.chip.take(self.now_s, self._plant.joules)
            self._times_s.append(self.now_s)
            self._joules.append(self._plant.joules)
            self._busy_s, self._look_s = 0.0, self._look_s + LOOK_S
        self._pass(until_s, load)

    def _pass(self, until_s: float, load: float) -> None:
        self._busy_s += load * (until_s - self.now_s)
        self.now_s = until_s


@dataclass(frozen=True, slots=True)
class Held:
    """What one budget gave: joules by the truth, and the share of the time that steps ran."""

    figures: Figures
    busy: float


class Board:
    """A machine under the law, as the daemon's governor asks it."""

    def __init__(self, seed: int, budget_w: float) -> None:
        self._machine = Machine(seed)
        self._random = random.Random(f"bare {seed}")
        self._conversions = Conversions(AVERAGING_S)
        points = operating_points(STRANGER, frozenset())
        forecast = Forecast(STRANGER, points, Learned(), is_own=False)
        settings = Settings(board_known=False)
        self._law = Law(forecast, Budget(budget_w=budget_w).limits(), settings, 0.0)
        self._tick_s, self._choose_s, self._turn = 0.0, 1.0, 0
        self._advance(IDLE_S, 0.0)

    def hold(self, budget_w: float, for_s: float) -> Held:
        """Serve a full queue under a budget."""
        start_s, busy_s = self._machine.now_s, 0.0
        self._law.set_limits(Budget(budget_w=budget_w).limits(), start_s)
        while self._machine.now_s < start_s + for_s:
            ran_s = self._turns()
            if self._machine.now_s >= start_s + SETTLED_S:
                busy_s += ran_s
        span = Span(start_s, self._machine.now_s, budget_w)
        figures = judged(self._machine.truth, span)
        return Held(figures, busy_s / (span.end_s - span.settled_s))

    def _turns(self) -> float:
        """Pause, or run as many alike steps as share a permit; return the seconds that they ran."""
        law, step = self._law, STEPS[self._turn]
        if step.phase == "prefill":
            step = Step("prefill", min(step.tokens, law.chunk_tokens))
        steps = max(1, int(BURST_S / law.forecast.step_s(law.forecast.points[law.point], step)))
        pause_s = law.pause_s(self._machine.now_s, step, steps)
        if pause_s > 0:
            self._advance(self._machine.now_s + pause_s, 0.0)
            return 0.0
        self._turn = (self._turn + 1) % len(STEPS)
        return sum(self._step(step) for _ in range(steps))

    def _step(self, step: Step) -> float:
        length_s = DECODE_S if step.phase == "decode" else PREFILL_TOKEN_S * step.tokens
        length_s *= self._random.uniform(0.9, 1.15)
        self._law.begin(self._machine.now_s, step)
        self._advance(self._machine.now_s + length_s, 1.0)
        self._law.end(self._machine.now_s, settled=True)
        return length_s

    def _advance(self, until_s: float, load: float) -> None:
        while self._tick_s <= until_s:
            self._machine.run(self._tick_s, load)
            self._tick()
        self._machine.run(until_s, load)

    def _tick(self) -> None:
        now_s, shown_w = self._machine.now_s, self._machine.chip.shown_w
        age_s = now_s - self._conversions.end_s(shown_w, now_s)
        self._law.observe(now_s, Metered(shown_w, "ina226@1-0040", age_s, AVERAGING_S, 0.02))
        if now_s >= self._choose_s:
            self._law.choose(now_s)
            self._choose_s = now_s + 1.0
        self._tick_s = now_s + READ_S + self._random.uniform(0.0, 0.002)


def governed(seed: int, budgets_w: Sequence[float]) -> list[Held]:
    """Return what each budget gave; the first one holds already while the law learns."""
    board = Board(seed, budgets_w[0])
    board.hold(budgets_w[0], LEAD_S - IDLE_S)
    return [board.hold(budget_w, SPAN_S) for budget_w in budgets_w]


def best_share(seed: int, limit_w: float) -> float:
    """Return the fixed share of the time whose worst window is the limit, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if _worst_w(seed, middle) <= limit_w else (low, middle)
    return low


def _worst_w(seed: int, share: float) -> float:
    machine = Machine(seed)
    for number in range(int(TRIED_S / PERIOD_S)):
        machine.run((number + share) * PERIOD_S, 1.0)
        machine.run((number + 1) * PERIOD_S, 0.0)
    return float(machine.truth.means_w(TRIED_S - JUDGED_S, TRIED_S, 10.0).max())
