"""The orders in force: kept, carried out, and ended in time.

In:  orders of the admin socket, the spool's clock, the configuration.     Out: the mode to
dispatch, the budget to the governor, who ordered what to `state`.
A run-time order goes before the schedule, and that before the configuration. On an idle board a
schedule ticks at its entries, a timed order every ten minutes, and nothing else does.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from edged.clock import Record, sleep_s
from edged.config import Config
from edged.dispatch import Dispatch
from edged.errors import AdminRefused, ConfigError
from edged.orders.budgets import InForce, in_force, until_entry_s
from edged.orders.kept import BudgetOrder, Mode, ModeOrder, Orders, OrdersFile, Term
from edged.power.budget import Budget, checked
from edged.power.governor import Governor

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
        set_by: a user's name, `config`, or `schedule`.
        until: date and time (UTC, whole minutes); None: no end, or the clock is not synchronised.
        left_s: seconds until the end; None: no end.
    """

    set_by: str
    until: str | None = None
    left_s: float | None = None


class Helm:
    """Carries out orders.

    Attributes:
        budget: the one in force.

    Args:
        config: what holds where nothing is ordered, and the daily schedule.
        file: where orders outlive a restart.
        clock: the spool's.
        dispatch: starts prompts, or does not; has the spool keep its clock.
        power: holds the budget.
    """

    def __init__(
        self,
        config: Config,
        file: OrdersFile,
        clock: Clock,
        dispatch: Dispatch,
        power: Governor,
    ) -> None:
        self._config = config
        self._file = file
        self._clock = clock
        self._dispatch = dispatch
        self._power = power
        self._orders = self._usable(file.load())
        self._woken = asyncio.Event()
        self._saving = asyncio.Lock()
        self._keep_clock_at_s = clock.now_s()
        self.budget = InForce(config.power.budget_w, config.power.peak_w)
        power.begun = self._woken.set
        self._steer()

    async def run(self) -> None:
        """End orders in time, until cancelled."""
        while True:
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rest_s()):
                    await self._woken.wait()
            await self._look()

    def _rest_s(self) -> float | None:
        """Return the seconds until something is to be done; None: nothing but orders."""
        now_s, rests = self._clock.now_s(), []
        end_s = self._orders.next_end_s(now_s)
        if end_s is not None:
            rests += [end_s, max(0.0, self._keep_clock_at_s - now_s)]
        if self._config.budget:
            rests += [self._schedule_rest_s()]
        return sleep_s(min(rests)) if rests else None

    def _schedule_rest_s(self) -> float:
        """Return the seconds until the schedule is looked at.

        The date may be set at any time: while prompts run, and until the clock is right, that is
        looked for on each minute. On an idle board the next prompt does.
        """
        local = self._local
        if local is not None and self._power.is_resting:
            return until_entry_s(self._config.budget, local)
        return MINUTE_S - self._clock.record().instant.wall_s % MINUTE_S

    async def _look(self) -> None:
        """Let go of what is over, keep the clock of what is not, follow the schedule."""
        now_s = self._clock.now_s()
        standing = self._orders.at(now_s)
        if standing != self._orders:
            log.info("an order ended: the board goes on as configured")
            await self._give(standing)
        elif standing.next_end_s(now_s) is not None and now_s >= self._keep_clock_at_s:
            await self._keep_clock()
        self._steer()

    async def _keep_clock(self) -> None:
        self._keep_clock_at_s = self._clock.now_s() + KEEP_CLOCK_S
        await self._dispatch.keep_note()

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

    async def order_budget(
        self, budget_w: float, peak_w: float | None, by: str, for_s: float | None = None
    ) -> str | None:
        """Hold this budget from now on; `peak_w` None: as configured.

        Returns:
            Why a restart would forget it; None when it is kept.

        Raises:
            AdminRefused: the budget means nothing.
        """
        given = BudgetOrder(budget_w, peak_w, Term(by, self._clock.now_s(), for_s))
        try:
            self._checked(in_force(self._config, given, None))
        except ConfigError as error:
            raise AdminRefused("unusable", str(error)) from error
        log.info("budget %g W by %s%s", budget_w, by, "" if for_s is None else f" for {for_s:g} s")
        return await self._give(replace(self._orders, budget=given))

    async def reset_budget(self, by: str) -> str | None:
        """Hold the configured budget again; return why a restart would forget that."""
        log.info("budget as configured by %s", by)
        return await self._give(replace(self._orders, budget=None))

    async def _give(self, orders: Orders) -> str | None:
        """Put these orders in force and keep them; return why they are not kept."""
        self._orders = orders
        self._steer()
        self._dispatch.wake()
        try:
            async with self._saving:  # what is written last is what stands
                await asyncio.to_thread(self._file.save, self._orders)
        except OSError as error:
            log.warning("%s: orders are not kept: %s", self._file.path, error)
            return f"not kept over a restart: {error}"
        finally:
            await self._keep_clock()
            self._woken.set()
        return None

    def _steer(self) -> None:
        """Have everybody do what is ordered, and scheduled."""
        self._orders = self._orders.at(self._clock.now_s())
        if self.mode is not self._dispatch.mode:
            self._dispatch.serve(self.mode)
        before, self.budget = self.budget, in_force(self._config, self._orders.budget, self._local)
        if (self.budget.budget_w, self.budget.peak_w) != (before.budget_w, before.peak_w):
            self._power.set_budget(self._checked(self.budget))
        if self.budget != before:
            self._power.changed.set()

    def _checked(self, wanted: InForce) -> Budget:
        """Return the budget when it can mean anything on this board.

        Raises:
            ConfigError: it cannot.
        """
        law = self._power.law
        budget = wanted.over(self._config.power, law.forecast.learned.floor_w)
        return checked(budget, self._config.engine.step_s_max, metered=law.settings.has_meter)

    def _usable(self, orders: Orders) -> Orders:
        """Return the orders of an earlier start without what this configuration makes void."""
        if orders.budget is None:
            return orders
        try:
            self._checked(in_force(self._config, orders.budget, None))
        except ConfigError as error:
            log.warning("the budget ordered by %s is void: %s", orders.budget.term.by, error)
            return replace(orders, budget=None)
        return orders

    @property
    def _local(self) -> datetime | None:
        """Return the date and time of the place; None while the clock is not synchronised."""
        instant = self._clock.record().instant
        return datetime.fromtimestamp(instant.wall_s) if instant.synchronised else None

    @property
    def mode(self) -> Mode:
        """Return what the board does with prompts."""
        order = self._orders.mode
        return Mode.SERVING if order is None else order.mode

    def said_of_mode(self) -> Said:
        """Return who ordered the mode, and until when."""
        order = self._orders.mode
        return Said("config") if order is None else self._said(order.term)

    def said_of_budget(self) -> Said:
        """Return who set the budget, and until when."""
        term = self.budget.term
        return Said(self.budget.set_by) if term is None else self._said(term)

    def _said(self, term: Term) -> Said:
        left_s = term.left_s(self._clock.now_s())
        instant = self._clock.record().instant
        if left_s is None or not instant.synchronised:
            return Said(term.by, None, left_s)
        minute = round((instant.wall_s + left_s) / MINUTE_S) * MINUTE_S
        until = datetime.fromtimestamp(minute, UTC).strftime("%Y-%m-%dT%H:%MZ")
        return Said(term.by, until, left_s)
