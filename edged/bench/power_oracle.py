"""The oracle: the best fixed clocks, sequences and chunk for a load under a limit.

In:  the true plant, the limits, the knobs.     Out: a `Setting`, and its run.
Its duty is held by a ledger that knows the truth: true watts and seconds of every step, a meter
without noise, no error band. So it may draw the whole limit, which no real governor can. It never
changes its clocks. Candidates are ranked by the true forecast; the best ones are run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edged.bench.power_judge import Figures, judged
from edged.bench.power_scenarios import Scenario
from edged.board.soc import Point, operating_points
from edged.board.virtual.engine import Engine
from edged.board.virtual.plant import Board, Plant, is_cool
from edged.board.virtual.run import Run
from edged.board.virtual.sensor import Chip, Sensor
from edged.power.budget import Limits
from edged.power.choice import Terms, throughput
from edged.power.forecast import Forecast, Learned, Mix
from edged.power.law import GUARD_MIN, Law, Settings

CANDIDATES = 5
SEQUENCES = (8, 4, 2, 1)
# A load without an end is ranked by so many of its requests.
RANKED_REQUESTS = 400
STEP_S_MAX = 0.5
# The longest pauses waste least; nobody asks the oracle to be steady.
PAUSE_S = 0.5
TRUTH = Chip(quantum_w=1e-9, noise_w=0.0, error_share=0.0)
# With a hotter ambient than this the kernel's caps are in force in the long run.
HOT_AMBIENT_C = 45.0


@dataclass(frozen=True, slots=True)
class Setting:
    """A fixed way to run."""

    point: Point
    sequences: int


@dataclass(frozen=True, slots=True)
class Ran:
    """The oracle's run; `setting` is None where nothing fits."""

    setting: Setting | None
    figures: Figures
    board: Board


def oracle(scenario: Scenario, plant: Plant) -> Ran:
    """Return the best fixed setting's run of a scenario with one budget throughout."""
    ran = [
        run_fixed(scenario, plant, setting)
        for setting in _ranked(scenario, plant, scenario.limits(0.0))
    ]
    ran = ran or [run_fixed(scenario, plant, None)]
    return max(ran, key=lambda one: one.figures.useful_tokens)


def run_fixed(scenario: Scenario, plant: Plant, setting: Setting | None) -> Ran:
    """Run one setting; None starts no step."""
    everything = operating_points(plant.soc, scenario.knobs)
    point = everything[0] if setting is None else setting.point
    board = Board(plant, (point,), scenario.ambient_c)
    engine = Engine(scenario.load(), sequences=1 if setting is None else setting.sequences)
    forecast = Forecast(plant.soc, (point,), Learned(floor_w=plant.soc.idle_w))
    settings = Settings(STEP_S_MAX, engine.sequences, bunch_s=PAUSE_S, steady_share=0.0)
    law = Law(forecast, _whole(scenario.limits(0.0)), settings, 0.0)
    Run(board, Sensor(TRUTH, 0), engine, law).until(scenario.end_s)
    return Ran(setting, judged(board, scenario.spans(), engine.tokens), board)


def _whole(limits: Limits) -> Limits:
    """Return limits whose aim, less the smallest guard, is the whole limit."""
    scale = 1 / (1 - GUARD_MIN)
    return replace(limits, mean_w=scale * limits.mean_w, peak_w=scale * limits.peak_w)


def _ranked(scenario: Scenario, plant: Plant, limits: Limits) -> Iterator[Setting]:
    """Yield the most promising settings, best first."""
    soc = plant.soc
    points = _kept(operating_points(soc, scenario.knobs), scenario)
    forecast = Forecast(soc, points, Learned(floor_w=soc.idle_w))
    found, ratio = [], _prefill_per_output(scenario)
    for sequences in SEQUENCES:
        mix = Mix(ratio, sequences)
        terms = Terms(limits.mean_w, limits.peak_w, limits.peak_window_s, mix, STEP_S_MAX, PAUSE_S)
        for place, point in enumerate(points):
            tokens_s, _ = throughput(forecast, place, terms)
            found.append((tokens_s, Setting(point, sequences)))
    found.sort(key=lambda pair: -pair[0])
    for tokens_s, setting in found[:CANDIDATES]:
        if tokens_s > 0:
            yield setting


def _prefill_per_output(scenario: Scenario) -> float:
    """Return the prompt tokens for each output token of the scenario's load."""
    requests = list(itertools.islice(scenario.load(), RANKED_REQUESTS))
    output_tokens = sum(request.output_tokens for request in requests)
    return sum(request.prompt_tokens for request in requests) / output_tokens


def _kept(points: Sequence[Point], scenario: Scenario) -> Sequence[Point]:
    if scenario.ambient_c < HOT_AMBIENT_C:
        return points
    return [point for point in points if is_cool(point.clocks)]
