"""The power budget: what was asked for, whether it can be held, and what the state says of it.

In:  the configured limits, the idle floor, what the smallest step costs, who says the watts.
Out: `Limits` in watts at the board's input, and a `Standing` with its reason in words.
Pure. A budget is a pair of limits with their windows; one figure without a window says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from edged import config
from edged.errors import ConfigError

Basis = Literal["total", "over_idle"]
Enforce = Literal["auto", "always", "never"]
# A peak of 1.2 x the budget over one second. Source: powercap's pair of long and short term.
PEAK_RATIO = 1.2
# Share of time that steps may run while nobody knows the watts.
BLIND_DUTY = 0.1
# Source: measurements of a ROCK 5B at the wall by others, in steps of what can be switched off.
SAVINGS = (
    "the DDR governor `performance` (about 0.6 W), HDMI (0.35 W), 2.5 GbE instead of GbE (0.3 W), "
    "a fan (0.7 W), PCIe without ASPM powersave (0.1 W), or a mainline kernel's idle (2 W)"
)


class State(StrEnum):
    """What `state` says of the budget."""

    OFF = "off"
    OK = "ok"
    THROTTLED = "throttled"
    INFEASIBLE = "infeasible"
    INFEASIBLE_PEAK = "infeasible_peak"
    BLIND = "blind"


class Source(StrEnum):
    """Who says what the board draws."""

    METER = "meter"
    FORECAST = "forecast"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of the budget, and why, in words."""

    state: State
    why: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Both limits at the board's input: watts as a mean over a window."""

    mean_w: float
    window_s: float
    peak_w: float
    peak_window_s: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What the operator asks for.

    Attributes:
        budget_w: mean over `window_s`.
        peak_w: mean over `peak_window_s`; None: 1.2 x `budget_w`.
        basis: `total` is the board's input; `over_idle` adds `idle_w`, the idle that was learned.
        enforce: `auto` holds it where the board or a meter is known.
    """

    budget_w: float = 4.0
    window_s: float = 10.0
    peak_w: float | None = None
    peak_window_s: float = 1.0
    basis: Basis = "total"
    idle_w: float | None = None
    enforce: Enforce = "auto"

    def over(self, idle_w: float) -> Budget:
        """Return the same budget above this idle."""
        return replace(self, idle_w=idle_w)

    def limits(self) -> Limits:
        """Return both limits at the board's input."""
        above_w = self.idle_w or 0.0 if self.basis == "over_idle" else 0.0
        peak_w = PEAK_RATIO * self.budget_w if self.peak_w is None else self.peak_w
        return Limits(self.budget_w + above_w, self.window_s, peak_w + above_w, self.peak_window_s)

    def is_held(self, *, board_known: bool, metered: bool) -> bool:
        """Return whether steps are held to it at all."""
        if self.enforce == "auto":
            return board_known or metered
        return self.enforce == "always"


def budget_of(settings: config.Power, idle_w: float | None) -> Budget:
    """Return the configured budget; `idle_w` is what was learned of this board, if anything."""
    return Budget(
        budget_w=settings.budget_w,
        window_s=settings.window_s,
        peak_w=settings.peak_w,
        peak_window_s=settings.peak_window_s,
        basis=settings.basis,
        idle_w=idle_w,
        enforce=settings.enforce,
    )


def checked(budget: Budget, step_s_max: float, *, metered: bool) -> Budget:
    """Return the budget when it can mean anything.

    Args:
        budget: as configured, with the idle that was learned.
        step_s_max: the longest step planned.
        metered: whether there is a meter, that can still learn the idle.

    Raises:
        ConfigError: names the key, the value and what to do.
    """
    limits = budget.limits()
    figures = (limits.mean_w, limits.window_s, limits.peak_w, limits.peak_window_s)
    if not all(math.isfinite(figure) and figure > 0 for figure in figures):
        raise ConfigError(f"power: {figures}: watts and windows must be above 0")
    if budget.basis == "over_idle" and not budget.idle_w and not metered:
        raise ConfigError(
            'power.basis = "over_idle": needs the idle watts of this board, which edged learns '
            'with a meter, and there is none; attach one, or use "total"'
        )
    if limits.peak_w < limits.mean_w:
        raise ConfigError(
            f"power.peak_w = {limits.peak_w:g} is under budget_w = {limits.mean_w:g}: "
            "a mean above the peak can never be drawn; raise the one or lower the other"
        )
    if limits.peak_window_s > limits.window_s:
        raise ConfigError(
            f"power.peak_window_s = {limits.peak_window_s:g} is longer than window_s = "
            f"{limits.window_s:g}: the peak is the shorter of the two"
        )
    if limits.peak_window_s < step_s_max and budget.enforce != "never":
        raise ConfigError(
            f"power.peak_window_s = {limits.peak_window_s:g} is shorter than a step "
            f"(engine.step_s_max = {step_s_max:g}): nothing can be held within a step; "
            "make the window longer or the step shorter"
        )
    return budget


@dataclass(frozen=True, slots=True)
class Smallest:
    """The cheapest step that there is: watts at the board's input, and its length."""

    power_w: float
    length_s: float
    paused_w: float

    def mean_w(self, window_s: float) -> float:
        """Return the mean of a window that holds this step and otherwise pauses."""
        busy = min(1.0, self.length_s / window_s)
        return busy * self.power_w + (1 - busy) * self.paused_w


def feasibility(limits: Limits, floor_w: float, smallest: Smallest) -> Standing:
    """Return whether any step at all fits under both limits; never `throttled`."""
    if smallest.mean_w(limits.window_s) > limits.mean_w:
        return Standing(
            State.INFEASIBLE,
            f"the board idles at {floor_w:.2f} W and one step more makes "
            f"{smallest.mean_w(limits.window_s):.2f} W over {limits.window_s:g} s, over the budget "
            f"of {limits.mean_w:.2f} W: switch off {SAVINGS}; or raise the budget",
        )
    if smallest.mean_w(limits.peak_window_s) > limits.peak_w:
        return Standing(
            State.INFEASIBLE_PEAK,
            f"the smallest step makes {smallest.mean_w(limits.peak_window_s):.2f} W over "
            f"{limits.peak_window_s:g} s, over peak_w = {limits.peak_w:.2f} W: raise peak_w or "
            "peak_window_s",
        )
    return Standing(State.OK, "full speed fits")
