"""Which power budget is in force: an order, the daily schedule, or the configuration.

In:  the configuration, the order that stands, the date if it can be trusted.     Out: watts, and
who set them.
Pure. The order goes first, then the schedule; without a right clock there is no schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edged import config
from edged.errors import ConfigError
from edged.orders.kept import BudgetOrder, Term
from edged.power.budget import Budget, budget_of, checked

APPLIED = "applied"
SET_ASIDE = "not applied: an order goes first"
NO_CLOCK = "not applied: the clock is not synchronised"


@dataclass(frozen=True, slots=True)
class InForce:
    """The budget that is to be held.

    Attributes:
        budget_w, peak_w: as `[power]` has them.
        set_by: `config`, `schedule`, or a user's name.
        term: of the order; None where it is none.
        schedule: what became of the daily schedule, in words; None where none is configured.
    """

    budget_w: float
    peak_w: float | None
    set_by: str = "config"
    term: Term | None = None
    schedule: str | None = None

    def over(self, power: config.Power, idle_w: float | None) -> Budget:
        """Return the budget of these watts; `idle_w` is what was learned of this board."""
        watts = {"budget_w": self.budget_w, "peak_w": self.peak_w}
        return budget_of(power.model_copy(update=watts), idle_w)


def in_force(settings: config.Config, order: BudgetOrder | None, local: datetime | None) -> InForce:
    """Return which budget is in force.

    Args:
        settings: `[power]` and the schedule.
        order: of a person; None where none stands.
        local: date and time of the place; None while the clock is not synchronised.
    """
    power, entries = settings.power, settings.budget
    if order is not None:
        peak_w = power.peak_w if order.peak_w is None else order.peak_w
        note = SET_ASIDE if entries else None
        return InForce(order.budget_w, peak_w, order.term.by, order.term, note)
    if not entries:
        return InForce(power.budget_w, power.peak_w)
    if local is None:
        return InForce(power.budget_w, power.peak_w, schedule=NO_CLOCK)
    return _of_entry(power, entry_at(entries, f"{local:%H:%M}"))


def entry_at(entries: Sequence[config.ScheduledBudget], time_of_day: str) -> config.ScheduledBudget:
    """Return the entry in force at HH:MM: the latest one before, if need be of the day before."""
    begun = [entry for entry in entries if entry.at <= time_of_day]
    return max(begun or entries, key=lambda entry: entry.at)


def until_entry_s(entries: Sequence[config.ScheduledBudget], local: datetime) -> float:
    """Return the seconds until the next entry begins, also over a change of summer time."""
    times = [datetime.strptime(entry.at, "%H:%M").time() for entry in entries]
    days = (local.date(), local.date() + timedelta(days=1))
    begins = (datetime.combine(day, time) for day in days for time in times)
    return min(one.timestamp() for one in begins if one > local) - local.timestamp()


def _of_entry(power: config.Power, entry: config.ScheduledBudget) -> InForce:
    peak_w = power.peak_w if entry.peak_w is None else entry.peak_w
    return InForce(entry.budget_w, peak_w, "schedule", schedule=APPLIED)


def check_schedule(settings: config.Config, idle_w: float | None, *, metered: bool) -> None:
    """Let a schedule pass whose every entry can mean something.

    Args:
        settings: the configuration.
        idle_w: what was learned of this board, if anything.
        metered: whether there is a meter, that can still learn the idle.

    Raises:
        ConfigError: names the entry and what to do.
    """
    for entry in settings.budget:
        budget = _of_entry(settings.power, entry).over(settings.power, idle_w)
        try:
            checked(budget, settings.engine.step_s_max, metered=metered)
        except ConfigError as error:
            raise ConfigError(f'[[budget]] at = "{entry.at}": {error}') from error
