"""The orders in force: kept, carried out, and ended in time.

In:  orders of the admin socket, the spool's clock, the configuration.     Out: the mode to
dispatch, the budget to the governor, who ordered what to `state`.
A run-time order goes before the configuration. Without a timed order nothing ticks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from edged.clock import Record
from edged.dispatch import Dispatch
from edged.orders import Mode, ModeOrder, Orders, OrdersFile, Term

log = logging.getLogger(__name__)

# A power cut on a board without a right clock lengthens a timed order by at most this, besides the
# time without power: so often the spool keeps its clock.
KEEP_CLOCK_S = 600.0
MINUTE_S = 60.0


class Clock(Protocol):
    """The spool's clock."""

    def now_s(self) -> float:
        """Return the spool's seconds."""

    def record(self) -> Record:
        """Return what the spool's and the machine's clocks say."""


@dataclass(frozen=True, slots=True)
class Said:
    """What `state` says of a setting.

    Attributes:
        set_by: a user's name, or `config`.
        until: date and time (UTC, whole minutes); None: no end, or the clock is not synchronised.
        left_s: seconds until the end; None: no end.
    """

    set_by: str
    until: str | None = None
    left_s: float | None = None


class Helm:
    """Carries out orders.

    Args:
        file: where they outlive a restart.
        clock: the spool's.
        dispatch: starts prompts, or does not.
        keep_clock: has the spool keep its clock now.
    """

    def __init__(
        self,
        file: OrdersFile,
        clock: Clock,
        dispatch: Dispatch,
        keep_clock: Callable[[], Awaitable[None]],
    ) -> None:
        self._file = file
        self._clock = clock
        self._dispatch = dispatch
        self._keep_clock = keep_clock
        self._orders = file.load()
        self._woken = asyncio.Event()
        self._steer()

    async def run(self) -> None:
        """End orders in time, until cancelled."""
        while True:
            self._woken.clear()
            rest_s = self._orders.next_end_s(self._clock.now_s())
            try:
                async with asyncio.timeout(None if rest_s is None else min(rest_s, KEEP_CLOCK_S)):
                    await self._woken.wait()
            except TimeoutError:
                await self._look()

    async def _look(self) -> None:
        """Let go of what is over; keep the clock of what is not."""
        standing = self._orders.at(self._clock.now_s())
        if standing == self._orders:
            await self._keep_clock()
        else:
            log.info("an order ended: the board goes on as configured")
            await self._give(standing)

    async def order(self, mode: Mode, by: str, for_s: float | None = None) -> str | None:
        """Serve, pause or drain from now on; serving is what the configuration says.

        Returns:
            Why a restart would forget it; None when it is kept.
        """
        log.info("%s by %s%s", mode, by, "" if for_s is None else f" for {for_s:g} s")
        given = None
        if mode is not Mode.SERVING:
            given = ModeOrder(mode, Term(by, self._clock.now_s(), for_s))
        return await self._give(replace(self._orders, mode=given))

    async def _give(self, orders: Orders) -> str | None:
        """Put these orders in force and keep them; return why they are not kept."""
        self._orders = orders
        self._steer()
        self._woken.set()
        try:
            await asyncio.to_thread(self._file.save, orders)
        except OSError as error:
            log.warning("%s: orders are not kept: %s", self._file.path, error)
            return f"not kept over a restart: {error}"
        await self._keep_clock()
        return None

    def _steer(self) -> None:
        """Have everybody do what is ordered."""
        self._orders = self._orders.at(self._clock.now_s())
        self._dispatch.serve(self.mode)

    @property
    def mode(self) -> Mode:
        """Return what the board does with prompts."""
        order = self._orders.mode
        return Mode.SERVING if order is None else order.mode

    def said_of_mode(self) -> Said:
        """Return who ordered the mode, and until when."""
        order = self._orders.mode
        return Said("config") if order is None else self._said(order.term)

    def _said(self, term: Term) -> Said:
        left_s = term.left_s(self._clock.now_s())
        instant = self._clock.record().instant
        if left_s is None or not instant.synchronised:
            return Said(term.by, None, left_s)
        minute = round((instant.wall_s + left_s) / MINUTE_S) * MINUTE_S
        until = datetime.fromtimestamp(minute, UTC).strftime("%Y-%m-%dT%H:%MZ")
        return Said(term.by, until, left_s)
