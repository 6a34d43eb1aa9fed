"""What goes wrong in one seed: which faults, when, and that all ends well after them.

In:  a world.     Out: the same world after some minutes of faults, and a while without any.
A seed draws a few kinds of faults and lets them come often: what never meets in a mixture of all
meets then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Literal

from edged.admin.wire import HoldAsk, line_of
from tools.simulation.devices import Devices, Habits
from tools.simulation.world import Cut, World

# After the last fault: hangs are found out, refused connections tried again, prompts answered.
CALM_S_MAX = 900.0
LOOK_EVERY_S = 5.0
# A daemon that was undisturbed for so long has told every deadline that passed.
UNDISTURBED_S = 90.0

Fault = Callable[[World], Awaitable[None]]


async def cut_links(world: World) -> None:
    """The link to the broker breaks."""
    world.network.cut()


async def hush_links(world: World) -> None:
    """The link is half-open: nothing arrives, and nobody is told."""
    world.network.hush()


async def slow_network(world: World) -> None:
    """Everything takes a while."""
    world.network.weather.delay_s = world.chance.choice((0.01, 0.2, 2.0))
    await asyncio.sleep(world.chance.uniform(1, 30))
    world.network.weather.delay_s = 0.0


async def stop_broker(world: World) -> None:
    """The broker ends; in some cases it has forgotten everything when it is back."""
    world.network.close()
    if world.chance.random() < 0.3:
        world.broker.forget()
    await asyncio.sleep(world.chance.uniform(0.1, 40))
    await world.network.open()


async def crash_engine(world: World) -> None:
    """The engine's process ends."""
    if world.engines is not None and world.engines.current is not None:
        world.engines.current.end()


async def hang_engine(world: World) -> None:
    """A step does not come back."""
    if world.engines is not None and world.engines.current is not None:
        world.engines.current.hang()


async def freeze_engine(world: World) -> None:
    """The engine stands still as a whole, for a while or until it is killed."""
    if world.engines is None or world.engines.current is None:
        return
    engine = world.engines.current
    engine.freeze()
    await asyncio.sleep(world.chance.choice((3, 50)))
    engine.thaw()


async def babble(world: World) -> None:
    """The engine says what is no frame."""
    if world.engines is not None and world.engines.current is not None:
        world.engines.current.babble()


async def garble(world: World) -> None:
    """The engine's next answers are not what the schema asks for."""
    if world.engines is not None and world.engines.current is not None:
        world.engines.current.garbles = 2


async def fail_canary(world: World) -> None:
    """The engine finds that it computes nonsense."""
    if world.engines is not None and world.engines.current is not None:
        world.engines.current.fail_canary()


async def hold_engine(world: World) -> None:
    """A driver holds the engine: it hangs, and SIGKILL does not end it for a while."""
    engines = world.engines
    if engines is None or engines.current is None:
        return
    held = engines.current
    engines.cannot_end = True
    held.hang()
    await asyncio.sleep(world.chance.uniform(20, 120))
    if world.engines is not None:
        world.engines.cannot_end = False
        held.end()  # not the one that may have taken its place


async def fail_engines(world: World) -> None:
    """Engines end before they listen."""
    if world.engines is None:
        return
    world.engines.keeps_failing = True
    if world.engines.current is not None:
        world.engines.current.end()
    await asyncio.sleep(world.chance.uniform(1, 60))
    if world.engines is not None:
        world.engines.keeps_failing = False


async def lose_meter(world: World) -> None:
    """The meter falls silent, or tells what cannot be."""
    world.meter.fail()
    await asyncio.sleep(world.chance.uniform(1, 60))
    world.meter.failure = None


async def fill_disk(world: World) -> None:
    """The disk is full at the n-th write from now on, for a while."""
    world.fill_disk(world.chance.randrange(1, 20))
    await asyncio.sleep(world.chance.uniform(1, 60))
    world.free_disk()


async def restart(world: World) -> None:
    """SIGTERM, and another start."""
    if world.life is None:
        return
    await world.terminate()
    await asyncio.sleep(world.chance.uniform(0, 5))
    if world.life is None:
        world.begin()


async def crash(world: World, *, is_power: bool = False) -> None:
    """The daemon ends between any two turns of its loop, or in the middle of a commit."""
    if world.life is None:
        return
    chance = world.chance
    if chance.random() < 0.5:
        world.cut = Cut(turns=chance.randrange(1, 400), is_power=is_power)
    else:
        world.cut = Cut(jobs=chance.randrange(1, 12), is_power=is_power)
    await world.has_died.wait()
    world.cut = None
    off_s = chance.uniform(0, 60 if is_power else 3)
    await asyncio.sleep(off_s)
    if is_power:
        world.machine.reboot(knows_date=chance.random() < 0.5)
    if world.life is None:
        world.begin()


async def order(world: World) -> None:
    """Somebody at the board has it pause or drain for a while."""
    if world.life is None:
        return
    command: Literal["pause", "drain"] = world.chance.choice(("pause", "drain"))
    ask = HoldAsk(command=command, for_s=world.chance.uniform(1, 30))
    with suppress(OSError):
        reader, writer = await asyncio.open_unix_connection(world.life.folder / "admin.sock")
        writer.write(line_of(ask))
        await reader.readline()
        writer.close()


async def jump_clock(world: World) -> None:
    """Somebody sets the date."""
    by_s = world.chance.uniform(-1e6, 1e6)
    world.machine.jump(by_s, is_synchronised=world.chance.random() < 0.5)


FAULTS: dict[str, Fault] = {
    "cut": cut_links,
    "hush": hush_links,
    "slow": slow_network,
    "broker": stop_broker,
    "engine-crash": crash_engine,
    "engine-hang": hang_engine,
    "engine-freeze": freeze_engine,
    "engine-babble": babble,
    "engine-garbage": garble,
    "engine-canary": fail_canary,
    "engine-held": hold_engine,
    "engine-fails": fail_engines,
    "meter": lose_meter,
    "disk-full": fill_disk,
    "restart": restart,
    "crash": crash,
    "power-cut": partial(crash, is_power=True),
    "clock": jump_clock,
    "order": order,
}
# One daemon ends at a time.
_ENDS = ("restart", "crash", "power-cut")


async def play(world: World, for_s: float) -> None:
    """Let a world go on for so long with faults, then until all is quiet; then end it."""
    chance = world.chance
    kinds = sorted(chance.sample(sorted(FAULTS), chance.randrange(1, 6)))
    habits = Habits(
        pause_s=chance.choice((1.0, 4.0, 15.0)),
        loss=chance.choice((0.0, 0.0, 0.2)),
        delay_s=chance.choice((0.0, 0.05, 3.0)),
        deadly=chance.choice((0.0, 0.0, 0.05)),
    )
    world.observer.note("faults", ", ".join(kinds))
    await world.network.open()
    world.begin()
    looking = asyncio.ensure_future(_look(world))
    asking = asyncio.ensure_future(Devices(world.broker, world.observer, chance, habits).run())
    breaking = asyncio.ensure_future(_break(world, kinds, chance.choice((2.0, 6.0, 20.0))))
    await asyncio.sleep(for_s)
    for task in (asking, breaking, looking):
        task.cancel()
    await asyncio.wait([asking, breaking, looking])
    for task in (asking, breaking, looking):
        _tell_bug(world, task)
    await _calm(world)


async def _break(world: World, kinds: list[str], pause_s: float) -> None:
    """Let faults come, several at a time but for the ends of the daemon; end them all at once."""
    running: set[asyncio.Task[None]] = set()
    ending: asyncio.Task[None] | None = None
    try:
        while True:
            await asyncio.sleep(world.chance.expovariate(1 / pause_s))
            kind = world.chance.choice(kinds)
            if kind in _ENDS and ending is not None and not ending.done():
                continue
            world.observer.note(f"fault {kind}")
            task = asyncio.ensure_future(_one(FAULTS[kind], world))
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
    quiet_since_s, known = world.loop.time(), None
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if world.life is not known or world.disk.is_full:
            quiet_since_s, known = world.loop.time(), world.life
        is_quiet = world.loop.time() - quiet_since_s > UNDISTURBED_S
        if is_quiet and world.life is not None and not world.life.is_told_to_end:
            world.observer.check_deadlines()


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
    """End all faults; everything accepted gets its outcome, and what is retained is true."""
    world.cut = None
    world.network.weather.delay_s = 0.0
    await world.network.open()
    world.free_disk()
    world.meter.failure = None
    if world.engines is not None:
        world.engines.cannot_end = world.engines.keeps_failing = False
        if world.engines.current is not None and world.engines.current.is_sick:
            world.engines.current.end()
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
        world.check_retained()
    await world.terminate()
    world.check_goodbye()
    await world.bury()
