"""`edged calibrate`: the sweep as a person runs it.

In:  the configuration, words of the command line.     Out: lines on the terminal, the table in the
state directory, an exit code.
It runs in the daemon's place: it holds the daemon's lock, starts an engine or takes over the one
that a killed daemon left, and gives the clocks back at its end. A kill leaves them to the next
start of `edged run` or `edged calibrate`, or to `edged restore-clocks`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edged import config
from edged.board.meter import Meter
from edged.board.use import use_of
from edged.clock import BoardClock
from edged.config import Config
from edged.engine.client import EngineClient
from edged.errors import ConfigError
from edged.lock import only_holder
from edged.power.choice import ladder
from edged.power.forecast import Forecast
from edged.power.gauge import PERIOD_S_MAX, Gauge
from edged.power.kept import NOTHING
from edged.power.law import Settings
from edged.power.outfit import STAND_IN, Parts, estimate_here, parts_here, points_of
from edged.power.table import FILE, Key, save
from edged.sweep import notes, screen
from edged.sweep.load import Load
from edged.sweep.notes import Notes
from edged.sweep.plan import Plan, Wanted, plan
from edged.sweep.plug import listening, plug_of
from edged.sweep.run import Bench, sight_of
from edged.sweep.sight import Sight, table_of

# A shell's word for a program that Ctrl-C ended.
EXIT_INTERRUPTED = 130
# The estimate is compared reading by reading.
ESTIMATE_S = 1.0


@dataclass(frozen=True, slots=True)
class Against:
    """The meter of a calibration.

    Attributes:
        key: what its table is of.
        period_s: it tells about so often.
    """

    meter: Meter
    key: Key
    period_s: float


def calibrate(given: argparse.Namespace) -> int:
    """Calibrate this board; return 0, or 130 when interrupted.

    Raises:
        EdgedError: it cannot be done; says what and what to do.
    """
    settings = config.placed(config.load(given.config), given.state_dir, None)
    lock = settings.state_dir / "edged.lock"
    with only_holder(lock, lambda holder: _second(settings, holder)):
        if given.fresh:
            notes.forget(settings.state_dir / notes.FILE)
        wanted = Wanted(given.points, given.dwell)
        try:
            asyncio.run(_interruptible(_Order(settings, given.config, given.meter, wanted)))
        except asyncio.CancelledError:
            print("\ninterrupted; the same command goes on from there", file=sys.stderr)
            return EXIT_INTERRUPTED
    return 0


def _second(settings: Config, holder: str) -> ConfigError:
    return ConfigError(
        f"edged runs (process {holder}) on {settings.state_dir}: end it first, prompts wait at the "
        "broker meanwhile: `systemctl stop edged.service edged-engine.service`"
    )


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked for.

    Attributes:
        path: of the configuration, for the engine's process.
        meter: `auto` or `mqtt`.
    """

    settings: Config
    path: Path | None
    meter: str
    wanted: Wanted


async def _interruptible(order: _Order) -> None:
    task = asyncio.current_task()
    assert task is not None, "this is one"
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await _calibrate(order)


async def _calibrate(order: _Order) -> None:
    settings, clock = order.settings, time.monotonic
    parts = await asyncio.to_thread(parts_here, settings, clock)
    engine = EngineClient(settings, order.path)
    async with _metered(order, parts) as against, running(engine, parts):
        load = Load(engine, settings, clock)
        print("waiting for the model", file=sys.stderr)
        ready = await load.ready()
        estimate = await asyncio.to_thread(
            estimate_here,
            settings,
            lambda: use_of(engine.state.pid, engine.decode_s),
            None,
            clock,
            ESTIMATE_S,
        )
        bench = Bench(Gauge(against.meter), estimate, parts.knobs, load, parts.runs, clock)
        fresh = Notes(against.key, ready.digest, planned(settings, parts, against, order.wanted))
        taken = await swept(settings.state_dir / notes.FILE, fresh, bench)
    _conclude(settings, taken, ready.name)


@asynccontextmanager
async def _metered(order: _Order, parts: Parts) -> AsyncIterator[Against]:
    """Hand out the meter that is asked for.

    Raises:
        ConfigError: there is none.
        BrokerGone: the plug's broker does not answer.
    """
    key, settings = parts.key, order.settings
    if settings.engine.backend == "rkllm":
        raise ConfigError(
            "RKLLM computes each prompt whole, and a calibration measures chunks of prompts; leave "
            "it out: with a meter its watts are learned while it serves"
        )
    if key is None:
        raise ConfigError(f"{parts.told.meter}: there is nothing to calibrate")
    if order.meter == "auto" and parts.meter is not None:
        yield Against(parts.meter, key, PERIOD_S_MAX)
        return
    if order.meter == "auto" and settings.plug.topic is None:
        raise ConfigError(
            f"no meter measures this board ({parts.told.meter}): wire a chip of the INA family "
            "into its supply, or put a plug between and name it in [plug]"
        )
    plug = plug_of(settings)
    async with listening(settings, plug, time.monotonic) as meter:
        taught_by = replace(key, meter=f"{plug.kind} {plug.topic}", shunt_ohm=None)
        yield Against(meter, taught_by, plug.period_s)


@asynccontextmanager
async def running(engine: EngineClient, parts: Parts) -> AsyncIterator[None]:
    """Keep an engine connected; at the end stop it, and give the clocks back."""
    knobs = parts.knobs
    if knobs is not None:
        await asyncio.to_thread(knobs.restore)  # a killed one may have left them capped
    life = asyncio.ensure_future(engine.run())
    try:
        yield
    finally:
        if knobs is not None:
            knobs.restore()
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def planned(settings: Config, parts: Parts, against: Against, wanted: Wanted) -> Plan:
    """Return what is to be measured on this board with this meter."""
    prior, engine = parts.soc or STAND_IN, settings.engine
    forecast = Forecast(prior, points_of(parts), NOTHING, engine.chunk_tokens)
    worth = ladder(forecast, engine.step_s_max, Settings().bunch_s)
    return plan([forecast.points[place] for place in worth], against.period_s, wanted)


async def swept(path: Path, fresh: Notes, bench: Bench) -> Notes:
    """Return a whole sweep: what `path` has of it, and the rest, kept stop by stop.

    Raises:
        EdgedError: the meter or the engine went away; what was seen is kept.
    """
    taken, todo = notes.resumed(path, fresh), fresh.plan
    print(screen.head(todo, len(taken.sights), fresh.key.meter or ""), flush=True)
    stepping = asyncio.ensure_future(bench.load.run())
    try:
        for stop in todo.stops[len(taken.sights) :]:
            _say_under_way(screen.under_way(stop, todo, len(taken.sights)))
            sight = await _first_of(stepping, sight_of(stop, todo, bench))
            taken = replace(taken, sights=(*taken.sights, sight))
            await asyncio.to_thread(notes.save, path, taken)
            print(screen.line(sight, todo, len(taken.sights)), flush=True)
    finally:
        stepping.cancel()
        await asyncio.gather(stepping, return_exceptions=True)
    return taken


async def _first_of(stepping: asyncio.Future[None], looking: Coroutine[None, None, Sight]) -> Sight:
    """Return what a look finds, unless the engine goes away meanwhile."""
    task = asyncio.ensure_future(looking)
    try:
        both: set[asyncio.Future[None] | asyncio.Future[Sight]] = {stepping, task}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if stepping.done():
            stepping.result()
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _say_under_way(words: str) -> None:
    """Show what is measured now, where a person looks on; the stop's own line takes its place."""
    if sys.stdout.isatty():
        print(words, end="\r", flush=True)


def _conclude(settings: Config, taken: Notes, model: str) -> None:
    """Write the table and say what it holds; the notes are not needed any more."""
    instant = BoardClock().instant()
    when = datetime.fromtimestamp(instant.wall_s, UTC) if instant.synchronised else None
    made = "" if when is None else f"{when:%Y-%m-%d %H:%M} UTC"
    left_out = taken.plan.left_out
    table, refused = table_of(taken.sights, taken.key, model, made, left_out)
    save(settings.state_dir / FILE, table)
    notes.forget(settings.state_dir / notes.FILE)
    skipped = [sight for sight in taken.sights if sight.skipped]
    print(f"\n{screen.tail(table, str(refused or ''), skipped)}")
    print(f"written: {settings.state_dir / FILE}; `edged run` uses it from its next start on")
