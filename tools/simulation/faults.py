"""What can go wrong: each fault is a coroutine that does it to a world, and ends it.

In:  a world.     Out: the same world, which may be broken for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from functools import partial
from typing import Literal

from edged.admin.wire import HoldAsk, line_of
from tools.simulation.world import Cut, World

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


async def refuse_writes(world: World) -> None:
    """From the n-th write on nothing is written, for a moment or a while."""
    world.fill_disk(world.chance.randrange(1, 20), grows_nothing=True)
    await asyncio.sleep(world.chance.choice((0.5, 5, 40)))
    world.free_disk()


async def stall_disk(world: World) -> None:
    """A commit stands still, as where a card tidies up."""
    world.stall_disk(world.chance.uniform(3, 12))


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
    for_s = world.chance.uniform(1, 30)
    ask = HoldAsk(command=command, for_s=for_s)
    world.held_until_s = max(world.held_until_s, world.loop.time() + for_s)
    with suppress(OSError):
        reader, writer = await asyncio.open_unix_connection(world.life.folder / "admin.sock")
        with closing(writer):  # also when the faults end meanwhile
            writer.write(line_of(ask))
            await reader.readline()


async def jump_clock(world: World) -> None:
    """Somebody sets the date."""
    by_s = world.chance.uniform(-1e6, 1e6)
    world.machine.jump(by_s, is_synchronised=world.chance.random() < 0.5)


# Of every seed.
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
# Of some, drawn apart: the others are the stories that they were before.
LATER_FAULTS: dict[str, Fault] = {
    "disk-refuses": refuse_writes,
    "disk-stalls": stall_disk,
}
