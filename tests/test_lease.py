"""The lease is renewed in time, and who slept does not blame the engine."""

from __future__ import annotations

import asyncio
import math

import pytest

from edged.config import Config
from edged.engine.client import EngineClient
from edged.lease import LOOK_S_MAX, RENEWALS_PER_LEASE, look_s, until_next_look

STOOD_S = 0.2


@pytest.mark.parametrize("lease_s", [0.5, 2.0, 20.0, 60.0])
def test_a_hang_is_looked_for_twice_a_second_however_long_the_lease(lease_s: float) -> None:
    assert look_s(lease_s) <= LOOK_S_MAX
    assert look_s(lease_s) <= lease_s / RENEWALS_PER_LEASE


class Excused(EngineClient):
    """Remembers what it was excused."""

    silence_s = math.nan

    def excuse(self, silence_s: float = math.inf) -> None:
        self.silence_s = silence_s


def test_a_daemon_that_stood_still_excuses_the_engine_for_so_long() -> None:
    async def run() -> float:
        engine, loop = Excused(Config(), None), asyncio.get_running_loop()
        resting = asyncio.ensure_future(until_next_look(engine, 0.04))
        await asyncio.sleep(0)
        ends_s = loop.time() + STOOD_S
        while loop.time() < ends_s:  # nothing else of this process runs
            continue
        await resting
        return engine.silence_s

    assert STOOD_S - 0.02 <= asyncio.run(run()) < math.inf
