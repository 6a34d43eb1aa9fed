"""The rival's runs: the engine without a budget, loaded, at one share of the time after another.

In:  a share.     Out: its tokens, and the watts of every plant had it gone on for long.
It waits, paused, while edged runs, and works for moments before and after each of its runs: the
machine's speed moves within minutes, and so moves both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from edged.bench.folder import in_memory
from edged.bench.host.beside import beside
from edged.bench.host.duty import FixedDuty, Tried, at_limit, mean
from edged.bench.host.judge import Record, Span, lasting_w, read_record
from edged.bench.host.load import Load, loaded
from edged.bench.host.processes import Daemon, daemon, lock_file, referee


class Rival:
    """One engine that nothing paces but signals; between its shares it does nothing.

    Attributes:
        full_cores: what it keeps busy unthrottled, the plants' full load.
        full_tokens_s: output tokens per second then.
        sweep: the shares that the search begins with.
    """

    def __init__(self, board: Daemon, load: Load, duty: FixedDuty, truth: Path) -> None:
        self._board = board
        self._load = load
        self._duty = duty
        self._truth = truth
        self._seeds: tuple[int, ...] = ()
        self._tried: list[Tried] = []
        self.full_cores = self.full_tokens_s = 1.0
        self.sweep: tuple[Tried, ...] = ()

    async def begin(
        self, seeds: Sequence[int], full_s: float, sweep: Sequence[float], tried_s: float
    ) -> None:
        """Measure full load, which makes the plants of these seeds what they are; then sweep."""
        span = await self._run(1.0, full_s)
        self._seeds = tuple(seeds)
        self.full_cores = read_record(self._truth).cores(span.settled_s, span.end_s)
        self.full_tokens_s = self._load.tokens_s(span)
        self.sweep = tuple([await self.at(share, tried_s) for share in sweep])

    async def at(self, share: float, for_s: float) -> Tried:
        """Run a share for a while, more than a window and the time to settle.

        Raises:
            EdgedError: the engine was taken for hung, and another one is not stopped by signals.
        """
        span = await self._run(share, for_s)
        record = read_record(self._truth)
        tried = Tried(share, self._load.tokens_s(span), self._worst_w(record, span))
        self._tried.append(tried)
        return tried

    def near(self, seed: int, limit_w: float) -> float:
        """Return the share to try next for a budget on a plant."""
        return at_limit(self._tried, seed, limit_w).share

    def best(self, around: Sequence[Tried], seed: int, limit_w: float) -> Tried:
        """Return the share whose worst window is the limit, with the tokens of these runs of it.

        They are drawn to the limit between the sweep's, which was made when the machine had
        another speed: the nearer they came, the less of that is in it.
        """
        return at_limit([*self.sweep, mean(around, seed)], seed, limit_w)

    async def _run(self, share: float, for_s: float) -> Span:
        await self._board.resume()
        self._duty.share = share
        start_s = time.monotonic()
        await asyncio.sleep(for_s)
        span = Span(start_s, time.monotonic(), 1.0)
        await self._load.under_way_ended()
        await self._board.pause()
        self._duty.share = 1.0
        self._board.check_engine()
        return span

    def _worst_w(self, record: Record, span: Span) -> dict[int, float]:
        return {seed: lasting_w(record, span, seed, self.full_cores) for seed in self._seeds}


@asynccontextmanager
async def rival(broker: tuple[str, int]) -> AsyncIterator[Rival]:
    """Run the rival until the block ends; it is paused at first."""
    with in_memory() as name:
        folder = Path(name)
        truth = folder / "truth"
        # An empty /sys: no meter, so that nothing paces the engine but the signals.
        power = {"enforce": "never", "sysfs": str(folder)}
        async with daemon(folder, "rival", broker, power) as board:
            duty = FixedDuty(board.engine_pid)
            await board.pause()
            async with (
                referee(truth, lock_file(folder), 1.0, 1),
                loaded(board.settings) as load,
                beside(duty.run()),
            ):
                yield Rival(board, load, duty, truth)
