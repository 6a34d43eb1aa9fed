"""When the engine's lease is to be renewed, and its silence looked at.

In:  the length of the lease.     Out: seconds; an engine that is not blamed for our own pauses.
Does not know: rows, limits.
"""

from __future__ import annotations

import asyncio

from edged.engine.client import EngineClient

# The lease is renewed so many times in its length, so that one late wake-up costs no step.
RENEWALS_PER_LEASE = 4
# A hang is looked for this often, however long the lease.
LOOK_S_MAX = 0.5


def look_s(lease_s: float) -> float:
    """Return how long after a look the next one is due."""
    return min(lease_s / RENEWALS_PER_LEASE, LOOK_S_MAX)


async def until_next_look(engine: EngineClient, lease_s: float) -> None:
    """Sleep; what it takes longer this process stood still, and the engine's lease may have ended.

    Nothing but this sleep stands between a renewal and the next one.
    """
    loop = asyncio.get_running_loop()
    due_s = loop.time() + look_s(lease_s)
    await asyncio.sleep(look_s(lease_s))
    engine.excuse(max(0.0, loop.time() - due_s))
