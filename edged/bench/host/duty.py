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
# Shares that every search begins with. With much smaller ones the daemon takes a stop for a hang.
SWEEP = (0.1, 0.25, 0.5, 0.75, 1.0)
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


def at_limit(tried: Sequence[Tried], seed: int, limit_w: float) -> Tried:
    """Return the share whose worst window is the limit, between the two nearest that were tried.

    Where all of them fit it is the largest; where none does, one in proportion to the smallest. So
    it is the next share to try, and in the end the best one: all of the limit and no tolerance.
    """
    points = sorted(tried, key=lambda one: one.worst_w[seed])
    under = [one for one in points if one.worst_w[seed] <= limit_w]
    over = [one for one in points if one.worst_w[seed] > limit_w]
    if not over:
        return under[-1]
    high = over[0]
    if not under:
        part = limit_w / high.worst_w[seed]
        return Tried(max(SHARE_MIN, part * high.share), part * high.tokens_s, {seed: limit_w})
    low = under[-1]
    part = (limit_w - low.worst_w[seed]) / (high.worst_w[seed] - low.worst_w[seed])
    return Tried(
        low.share + part * (high.share - low.share),
        low.tokens_s + part * (high.tokens_s - low.tokens_s),
        {seed: limit_w},
    )


def mean(tried: Sequence[Tried], seed: int) -> Tried:
    """Return what shares that are nearly the same gave on average, on one plant."""
    count = len(tried)
    return Tried(
        sum(one.share for one in tried) / count,
        sum(one.tokens_s for one in tried) / count,
        {seed: sum(one.worst_w[seed] for one in tried) / count},
    )
