"""The daemon's client of an engine, with a clock of the test, and the events that it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edged import config
from edged.engine.client import EngineClient, Lost
from edged.engine.frames import Held, Limits, Ready, Step
from tests.beside import beside

WAIT_S = 60.0
NOTHING, ALL = Limits(1024, 0, 1e9), Limits(1024, 8, 1e9)
E = TypeVar("E", Ready, Step, Held, Lost)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def connected(path: Path, clock: Clock) -> AsyncIterator[EngineClient]:
    """Run a client of whatever engine listens where `path` says; else of one that it starts."""
    client = EngineClient(config.load(path), path, clock)
    async with beside(client.run()):
        yield client


async def event(client: EngineClient, kind: type[E]) -> E:
    """Return the next event of a kind."""
    async with asyncio.timeout(WAIT_S):
        while not isinstance(found := await client.events.get(), kind):
            pass
    return found
