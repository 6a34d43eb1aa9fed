"""What goes wrong in one seed: which faults, when, and that all ends well after them.

In:  a world.     Out: the same world after some minutes of faults, and a while without any.
A seed draws a few kinds of faults and lets them come often: what never meets in a mixture of all
meets then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from tools.simulation.devices import Devices, Habits
from tools.simulation.faults import FAULTS, LATER_FAULTS, Fault
from tools.simulation.idleness import Idleness
from tools.simulation.proof import prove
from tools.simulation.retained import check_goodbye, check_retained
from tools.simulation.world import World

# After the last fault: hangs are found out, refused connections tried again, prompts answered.
CALM_S_MAX = 900.0
LOOK_EVERY_S = 5.0
# A daemon that was undisturbed for so long has told every deadline that passed.
UNDISTURBED_S = 90.0
# One that was undisturbed for so long has seen to all rows that the disturbance left.
TIDY_S = 15.0
# One daemon ends at a time.
_ALL = FAULTS | LATER_FAULTS
_ENDS = ("restart", "crash", "power-cut")


def _drawn(world: World) -> list[str]:
    """Return the kinds of faults of a seed; one in twenty has none."""
    chance, later = world.chance, random.Random(f"later {world.seed}")
    kinds = sorted(chance.sample(sorted(FAULTS), chance.randrange(1, 6)))
    share = later.random()
    if share < 0.05:
        return []
    return kinds + (later.sample(sorted(LATER_FAULTS), 1) if share < 0.35 else [])


async def play(world: World, for_s: float, given: Sequence[str] | None = None) -> None:
    """Let a world go on for so long with faults, then until all is quiet; then end it.

    Args:
        world: it.
        for_s: how long faults come.
        given: their kinds; None: the seed's.
    """
    chance, drawn = world.chance, _drawn(world)
    kinds = drawn if given is None else list(given)
    world.is_metered = world.is_metered or "meter" in kinds
    habits = Habits(
        pause_s=chance.choice((1.0, 4.0, 15.0)),
        loss=chance.choice((0.0, 0.0, 0.2)),
        delay_s=chance.choice((0.0, 0.05, 3.0)),
        deadly=chance.choice((0.0, 0.0, 0.05)),
    )
    if not kinds:
        habits = replace(habits, deadly=0.0)
    world.observer.note("faults", ", ".join(kinds))
    await world.network.open()
    world.begin()
    looking = asyncio.ensure_future(_look(world))
    asking = asyncio.ensure_future(Devices(world.broker, world.observer, chance, habits).run())
    breaking = asyncio.ensure_future(_break(world, kinds, chance.choice((2.0, 6.0, 20.0))))
    await asyncio.sleep(for_s)
    await _ended(world, asking, breaking)
    await _calm(world)
    await _ended(world, looking)
    if not kinds and not world.is_metered:  # a power budget may keep even an urgent one waiting
        world.observer.check_answers()


async def _ended(world: World, *tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        _tell_bug(world, task)


async def _break(world: World, kinds: list[str], pause_s: float) -> None:
    """Let faults come, several at a time but for the ends of the daemon; end them all at once."""
    running: set[asyncio.Task[None]] = set()
    ending: asyncio.Task[None] | None = None
    try:
        while kinds:
            await asyncio.sleep(world.chance.expovariate(1 / pause_s))
            kind = world.chance.choice(kinds)
            if kind in _ENDS and ending is not None and not ending.done():
                continue
            world.observer.note(f"fault {kind}")
            task = asyncio.ensure_future(_one(_ALL[kind], world))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(partial(_tell_bug, world))
            if kind in _ENDS:
                ending = task
    finally:
        for task in sorted(running, key=hash):
            task.cancel()


def _tell_bug(world: World, task: asyncio.Task[None]) -> None:
    """Let a bug of the simulation fail its seed."""
    if not task.cancelled() and task.exception() is not None:
        world.observer.violated(f"the simulation itself: {task.exception()!r}")


async def _one(fault: Fault, world: World) -> None:
    await fault(world)


async def _look(world: World) -> None:
    """Look again and again whether deadlines are kept by a daemon that nothing disturbs.

    What expires while one ends is told by the next.
    """
    observer = world.observer
    idleness = Idleness(observer.view, observer.health, world.loop.time, observer.violated)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if world.undisturbed_s > UNDISTURBED_S:
            observer.check_deadlines()
        engine = None if world.engines is None else world.engines.current
        if engine is not None:
            observer.health.look(engine)
        if world.undisturbed_s < TIDY_S or world.held_until_s > world.loop.time() - LOOK_EVERY_S:
            idleness.forget()
        else:
            idleness.look(engine)


async def _settled(world: World, end_s: float) -> None:
    """Wait until all was done for once, and then as long as the last words of a board may take."""
    while not world.is_quiet and world.loop.time() < end_s:
        if world.life is None:
            world.begin()
        await asyncio.sleep(LOOK_EVERY_S)
    # What changed last is in `state` after 10 s, a connection that nobody heard of longer is made
    # again within two keep alives and the longest back-off.
    await asyncio.sleep(60.0)


async def _calm(world: World) -> None:
    """End all faults; everything accepted gets its outcome, and what is retained is true.

    An engine that hangs is left to the daemon.
    """
    world.cut = None
    world.network.weather.delay_s = 0.0
    await world.network.open()
    world.free_disk()
    world.meter.failure = None
    if world.engines is not None:
        world.engines.keeps_failing = False
        world.engines.let_go()
        if world.engines.current is not None:
            world.engines.current.thaw()
            world.engines.current.garbles = 0
    await prove(world)
    end_s = world.loop.time() + CALM_S_MAX
    await _settled(world, end_s)
    # What the broker had kept behind a silent link came in that minute, perhaps.
    while not world.is_quiet and world.loop.time() < end_s:
        await _settled(world, end_s)
    world.observer.note("quiet", f"{world.observer.unfinished} unfinished")
    if not world.is_quiet:
        world.observer.violated(f"{world.observer.unfinished} rows have no delivered outcome")
    world.observer.check_books()
    if world.life is not None:
        check_retained(world)
    await world.terminate()
    check_goodbye(world)
    await world.bury()
