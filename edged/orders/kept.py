"""What the people who run the board ordered, by whom and for how long; kept over restarts.

In:  orders of the admin socket, seconds of the spool's clock.     Out: those in force; a small JSON
file in the state directory.
Times are the spool's: a wall clock that is set wrong can neither extend an order nor end it.
Pure, but for `OrdersFile`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from edged.durable import write_durably

log = logging.getLogger(__name__)

FILE = "orders.json"
FOR_S_MAX = 31_536_000.0
# Two readings of a clock that went on over a restart differ by less.
_ROUNDING_S = 0.001

# As `power.budget_w` and `power.peak_w` of the configuration.
Watts = Annotated[float, Field(ge=0.1, le=1000)]
Seconds = Annotated[float, Field(ge=1, le=FOR_S_MAX)]


class Mode(StrEnum):
    """What the board does with prompts.

    `PAUSED`: it takes them and starts none. `DRAINING`: it refuses new ones and answers those that
    it has taken. In both, what runs goes on.
    """

    SERVING = "serving"
    PAUSED = "paused"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Term:
    """Who gave an order, when, and for how long.

    Attributes:
        by: name of the user.
        given_s: s of the spool's clock.
        for_s: s from then on; None: until another order.
    """

    by: str
    given_s: float
    for_s: Seconds | None = None

    def left_s(self, now_s: float) -> float | None:
        """Return the seconds until it ends; None where nothing but another order ends it."""
        return None if self.for_s is None else max(0.0, self.given_s + self.for_s - now_s)

    def is_over(self, now_s: float) -> bool:
        """Return whether it ended, or was timed by a clock that is lost with its spool."""
        if self.for_s is None:
            return False
        return not self.given_s - _ROUNDING_S <= now_s < self.given_s + self.for_s


@dataclass(frozen=True, slots=True)
class ModeOrder:
    """Take and start prompts like this."""

    mode: Mode
    term: Term


@dataclass(frozen=True, slots=True)
class BudgetOrder:
    """Hold these watts; `peak_w` None: as configured."""

    budget_w: Watts
    peak_w: Watts | None
    term: Term


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders that stand; None: as configured."""

    mode: ModeOrder | None = None
    budget: BudgetOrder | None = None

    def at(self, now_s: float) -> Orders:
        """Return those that are not over."""
        standing = self
        if self.mode is not None and self.mode.term.is_over(now_s):
            standing = replace(standing, mode=None)
        if self.budget is not None and self.budget.term.is_over(now_s):
            standing = replace(standing, budget=None)
        return standing

    def next_end_s(self, now_s: float) -> float | None:
        """Return the seconds until the next one ends; None where none ends by itself."""
        ends = [order.term.left_s(now_s) for order in (self.mode, self.budget) if order is not None]
        return min((left_s for left_s in ends if left_s is not None), default=None)


_JSON = TypeAdapter(Orders)


@dataclass(frozen=True, slots=True)
class OrdersFile:
    """The orders of one state directory."""

    path: Path

    def load(self) -> Orders:
        """Return what was kept; none where there is nothing of use. Blocking.

        A file that cannot be read as ours is moved aside, and the log says where.
        """
        try:
            return _JSON.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Orders()
        except (OSError, ValidationError) as error:
            return self._put_aside(error)

    def save(self, orders: Orders) -> None:
        """Keep the orders, whole or not at all. Blocking.

        Raises:
            OSError: the disk will not; the old ones stand there.
        """
        write_durably(self.path, _JSON.dump_json(orders, indent=1).decode() + "\n")

    def _put_aside(self, why: Exception) -> Orders:
        aside = self.path.with_suffix(".broken")
        try:
            self.path.replace(aside)
        except OSError as error:
            log.warning("%s: %s; the board serves as configured (%s)", self.path, why, error)
        else:
            log.warning(
                "%s: %s; moved to %s: the board serves as configured", self.path, why, aside
            )
        return Orders()
