"""The rival: the engine at full speed for a fixed share of the time, stopped for the rest.

In:  the engine's pid, a share; what was tried.     Out: SIGSTOP and SIGCONT; the next share to try.
It reads no meter and knows no watts: the share that fits a budget is found by search, with the
truth at hand. A stopped process spins in no pause and asks for no permit, so it is a strong rival.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

# Long against a step of milliseconds, short against the window of 10 s.
PERIOD_S = 0.2
# Shares that every search begins with.
SWEEP = (0.15, 0.3, 0.45, 0.6, 0.8)
SHARE_MIN = 0.02


@dataclass(frozen=True, slots=True)
class Tried:
    """One share, tried.

    Attributes:
        worst_w: the highest window of each plant, by seed.
    """

    share: float
    tokens_s: float
    worst_w: dict[int, float]


class FixedDuty:
    """Stops and continues one process; `share` may change at any time, 1 never stops it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.share = 1.0

    async def run(self) -> None:
        """Go on until cancelled; the process runs afterwards."""
        try:
            while True:
                share = self.share
                self._signal(signal.SIGCONT)
                await asyncio.sleep(share * PERIOD_S)
                if share < 1:
                    self._signal(signal.SIGSTOP)
                    await asyncio.sleep((1 - share) * PERIOD_S)
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)


def next_share(tried: Sequence[Tried], seed: int, limit_w: float) -> float:
    """Return the share whose worst window should be the limit, between those that were tried."""
    points = sorted((one.worst_w[seed], one.share) for one in tried)
    under = [point for point in points if point[0] <= limit_w]
    over = [point for point in points if point[0] > limit_w]
    if not over:
        return 1.0
    high_w, high = over[0]
    if not under:
        return max(SHARE_MIN, high * limit_w / high_w)
    low_w, low = under[-1]
    return low + (high - low) * (limit_w - low_w) / (high_w - low_w)


def best(tried: Sequence[Tried], seed: int, most_w: float) -> Tried | None:
    """Return the share with the most tokens among those that hold; None if none does."""
    held = [one for one in tried if one.worst_w[seed] <= most_w]
    return max(held, key=lambda one: one.tokens_s, default=None)
