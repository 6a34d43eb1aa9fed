"""Plays one scenario with one arm on one plant.

In:  scenario, plant, arm.     Out: the run's figures, by the plant's truth.
The governor keeps the nominal prior, whatever plant was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edged.bench.power_arms import BangBang, ContextBatch, Metering
from edged.bench.power_judge import Figures, judged
from edged.bench.power_oracle import oracle
from edged.bench.power_scenarios import Scenario
from edged.bench.power_stopwatch import Stopwatch
from edged.board.soc import Soc, operating_points
from edged.board.virtual.engine import Engine
from edged.board.virtual.plant import Board, Plant
from edged.board.virtual.run import Event, Policy, Run
from edged.board.virtual.sensor import Sensor
from edged.power.budget import Limits
from edged.power.forecast import Forecast, Learned
from edged.power.law import Law, Settings

ARMS = ("governor", "context_batch", "pacing", "bang_bang", "oracle")
STEP_S_MAX = 0.5


@dataclass(frozen=True, slots=True)
class Played:
    """A run: its figures, and the board for whoever wants to draw it."""

    figures: Figures
    board: Board


def play(scenario: Scenario, prior: Soc, seed: int, plant: Plant, arm: str) -> Played:
    """Play a scenario with one of `ARMS`; `seed` is the meter's noise."""
    plant = replace(plant, soc=scenario.plant(plant.soc))
    if arm == "governor":
        return play_law(scenario, prior, seed, plant)
    if arm == "pacing":
        return play_law(replace(scenario, knobs=frozenset()), prior, seed, plant)
    if arm == "oracle":
        return play_oracle(scenario, plant)
    return _play_metering(scenario, prior, seed, plant, arm)


def play_law(scenario: Scenario, prior: Soc, seed: int, plant: Plant) -> Played:
    """Play with the governor; without knobs in the scenario it has pauses alone."""
    board = Board(plant, plant.points(scenario.knobs), scenario.ambient_c)
    law = governor(scenario, prior)
    return _play(scenario, board, Engine(scenario.load()), law, law.set_limits, seed)


def governor(scenario: Scenario, prior: Soc) -> Law:
    """Return a fresh governor that knows the nominal board only."""
    forecast = Forecast(prior, operating_points(prior, scenario.knobs), Learned())
    return Law(forecast, scenario.limits(0.0), Settings(STEP_S_MAX), 0.0)


def play_oracle(scenario: Scenario, plant: Plant) -> Played:
    """Play with the oracle; with a budget that changes, the best fixed one for its lowest."""
    lowest = min(watts for _, watts in scenario.budgets)
    ran = oracle(replace(scenario, budgets=((0.0, lowest),)), plant)
    return Played(judged(ran.board, scenario.spans(), ran.figures.useful_tokens), ran.board)


def _play_metering(scenario: Scenario, prior: Soc, seed: int, plant: Plant, arm: str) -> Played:
    board = Board(plant, plant.points(scenario.knobs), scenario.ambient_c)
    engine = Engine(scenario.load())
    full, limits = len(board.points) - 1, scenario.limits(0.0)
    forecast = Forecast(prior, operating_points(prior, frozenset()), Learned())
    chunk = forecast.chunk_tokens(forecast.points[-1], STEP_S_MAX)
    policy: Metering
    if arm == "bang_bang":
        policy = BangBang(full, chunk, limits)
    else:
        policy = ContextBatch(full, chunk, limits, engine)

    def set_limits(limits: Limits, now_s: float) -> None:
        policy.limits = limits

    return _play(scenario, board, engine, policy, set_limits, seed)


def _play(
    scenario: Scenario,
    board: Board,
    engine: Engine,
    policy: Policy,
    set_limits: Callable[[Limits, float], None],
    seed: int,
) -> Played:
    def change(at_s: float) -> Event:
        return Event(at_s, lambda: set_limits(scenario.limits(at_s), at_s))

    events = [change(at_s) for at_s, _ in scenario.budgets[1:]]
    sensor = Sensor(scenario.chip, seed, scenario.fault)
    Run(board, sensor, engine, policy, events).until(scenario.end_s)
    return Played(judged(board, scenario.spans(), engine.tokens), board)


def cpu_share(scenario: Scenario, prior: Soc, plant: Plant) -> float:
    """Return the CPU seconds of the law per second of the board's time."""
    board = Board(plant, plant.points(scenario.knobs), scenario.ambient_c)
    law = Stopwatch(governor(scenario, prior))
    Run(board, Sensor(scenario.chip, 0), Engine(scenario.load()), law).until(scenario.end_s)
    return law.spent_s / scenario.end_s
