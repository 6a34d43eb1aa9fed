"""Measures stop after stop.

In:  a stop of a plan, the board's parts, an engine at work.     Out: what was seen there.
Whoever runs it gives the clocks back when it ends, however it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from edged.board.knob import Knobs
from edged.board.knobs.cap import mhz
from edged.board.meters.estimate import EstimateMeter
from edged.errors import KnobRefused, MeterLost
from edged.power.forecast import Phase
from edged.power.gauge import Gauge
from edged.sweep.load import Load
from edged.sweep.plan import Plan, Stop
from edged.sweep.sight import Sight, Taken, seen

# A meter that tells too seldom for its plan gets so much longer, then the sweep ends.
PATIENCE = 4.0
# A cap that does nothing shows at the third look, as `board.knobs.watch` counts them.
LOOKS, LOOK_S = 3, 0.2


@dataclass(frozen=True, slots=True)
class Bench:
    """What a sweep works with.

    Attributes:
        estimate: without any calibration: what it learns is what the pairs say.
        runs: told which phase runs; the virtual board draws it.
    """

    gauge: Gauge
    estimate: EstimateMeter
    knobs: Knobs | None
    load: Load
    runs: Callable[[Phase | None], None]
    clock: Callable[[], float]


async def sight_of(stop: Stop, plan: Plan, bench: Bench) -> Sight:
    """Return what a stop shows; the load's `run` goes on meanwhile.

    Raises:
        MeterLost: the meter tells nothing of use.
        EngineUnusable: the engine does not stop.
        NothingSeen: no step ended at the stop.
    """
    try:
        await _prepare(stop, bench)
    except KnobRefused as error:
        return Sight(stop, skipped=f"its clocks cannot be set: {error}")
    try:
        await asyncio.sleep(plan.settle_s(stop))
        bench.load.forget()
        taken = await _readings(plan.read_s(stop), plan.readings_min, bench)
        steps = bench.load.steps()
        held = await _held_lower(stop, bench.knobs)
    finally:
        await bench.load.end()
        bench.runs(None)
    return Sight(stop, skipped=held) if held else seen(stop, taken, steps)


async def _prepare(stop: Stop, bench: Bench) -> None:
    """Set the clocks and let the work begin."""
    if stop.phase is None:
        return
    if bench.knobs is not None and bench.knobs.domains and stop.clocks is not None:
        await asyncio.to_thread(bench.knobs.set_clocks, stop.clocks)
    bench.runs(stop.phase)
    bench.load.begin(stop.phase)


async def _held_lower(stop: Stop, knobs: Knobs | None) -> str:
    """Return why the watts are of other clocks than those asked for; empty: they are not."""
    if knobs is None or stop.phase is None or not knobs.domains:
        return ""
    try:
        for _ in range(LOOKS):
            await asyncio.to_thread(knobs.check, is_busy=True)
            await asyncio.sleep(LOOK_S)
    except KnobRefused as error:
        return f"its clocks do not hold: {error}"
    found_hz = await asyncio.to_thread(knobs.kernel_hz)
    lower = (f"{domain} at {mhz(clock_hz)}" for domain, clock_hz in found_hz.items())
    told = ", ".join(lower)
    return f"the kernel holds {told}, as in heat" if told else ""


async def _readings(read_s: float, least: int, bench: Bench) -> list[Taken]:
    """Return what meter and estimate say for so long, or until enough was said.

    Raises:
        MeterLost: too little in `PATIENCE` times that.
    """
    taken: list[Taken] = []
    gauge = bench.gauge
    await gauge.read()  # a counter's first reading is of the time before
    begun_s = last_s = bench.clock()
    while (passed_s := bench.clock() - begun_s) < read_s or len(taken) < least:
        if passed_s > PATIENCE * read_s:
            why = gauge.fault or "it told nothing new"
            few = f"the meter gave {len(taken)} readings of {least} needed"
            raise MeterLost(f"{few}: {why}; what was seen before is kept")
        await asyncio.sleep(gauge.period_s)
        reading = await gauge.read()
        estimated = await asyncio.to_thread(bench.estimate.read)
        if reading is not None and reading.at_s > last_s:
            last_s = reading.at_s
            taken.append(Taken(reading.watts_w, estimated.watts_w, reading.error_share))
    return taken
