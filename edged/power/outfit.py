"""What this board can be held with: its forecast, its meter, its knobs, and the law over them.

In:  the configuration, what was learned.     Out: `Outfit`, for the governor.
The one place that decides whether the budget is held, and why not.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edged import config
from edged.board.domains import compatible, soc_of
from edged.board.knob import Knobs
from edged.board.knobs.kernel import KernelKnobs
from edged.board.meter import Meter
from edged.board.meters.calibration import UNCALIBRATED, Calibration
from edged.board.meters.choose import Chosen, Wish, choose_meter, estimate_of
from edged.board.meters.dynamic import of_cores
from edged.board.meters.estimate import EstimateMeter
from edged.board.reach import reachable
from edged.board.soc import DOMAINS, RK3588, SOCS, Point, Soc, on_cpu, operating_points
from edged.board.sysfs import SYS
from edged.board.use import Use
from edged.board.virtual.live import LiveBoard
from edged.board.virtual.plant import drawn
from edged.config import Config
from edged.errors import ConfigError
from edged.power.budget import Budget, budget_of, checked
from edged.power.forecast import Forecast, Phase
from edged.power.kept import NOTHING, Kept
from edged.power.law import Law, Settings
from edged.power.table import FILE as TABLE_FILE
from edged.power.table import Key, Recalled, Table, applied, recall

# Without a meter the law still forecasts; nothing is held by a forecast of another board.
STAND_IN = on_cpu(RK3588)
# The same where neither board nor calibration is known: no Rockchip's memory clock lags behind its
# steps there. Source: `edged bench power --pauses`: on x86-64 a pause takes under 1 ms of CPU.
STRANGER = replace(STAND_IN, spin_s=0.001, ddr_tail_s=0.0)
# Where llama.cpp computes on the big cores alone, the NPU's clock changes nothing.
UNUSED = frozenset({"npu"})
# What waits for a permit before each step.
PACED = ("llama", "rkllm")


@dataclass(frozen=True, slots=True)
class Told:
    """What was chosen to say the watts, and why, for the log and for `state`.

    Attributes:
        meter: one sentence.
        passed_over: one for each meter that was found and not chosen.
        supply_w: what the USB-PD contract allows; None without one.
        calibration: the table in force; None without one.
        calibration_warning: why one that is there is not in force; None where all is well.
    """

    meter: str = "no meter was sought"
    passed_over: tuple[str, ...] = ()
    supply_w: float | None = None
    calibration: str | None = None
    calibration_warning: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the board has.

    Attributes:
        soc: the board, as the prior knows it; None: another machine.
        meter, knobs: None where there is none.
        runs: told which phase runs from now on; the virtual board draws it.
        told: how the meter came to be the one.
        key: what a calibration of this board is of; None where none is made.
        table: what a calibration found; None without one.
    """

    soc: Soc | None = None
    meter: Meter | None = None
    knobs: Knobs | None = None
    runs: Callable[[Phase | None], None] = lambda phase: None
    told: Told = Told()
    key: Key | None = None
    table: Table | None = None

    @property
    def name(self) -> str:
        """Return whose gains are learned here; on top of another table they are others."""
        board = "unknown" if self.soc is None else self.soc.name
        return board if self.table is None else f"{board} calibrated {self.table.name}"


@dataclass(frozen=True, slots=True)
class Outfit:
    """The board's parts and the law that holds them.

    Attributes:
        learned_file: where what is learned outlives a restart; None: nowhere.
    """

    parts: Parts
    law: Law
    budget: Budget
    learned_file: Kept | None

    @property
    def is_paced(self) -> bool:
        """Return whether each step waits for its permit: to be held, or for the meter to learn."""
        return self.law.settings.enforce or self.parts.meter is not None

    def floor_w(self, settings: config.Power) -> float:
        """Return the idle watts of whoever counts the joules here."""
        return self.law.forecast.floor_w if self.is_paced else settings.idle_w


def parts_here(config: Config, clock: Callable[[], float]) -> Parts:
    """Return what this machine, or the virtual board in its place, has. Blocking.

    Raises:
        ConfigError: a virtual board for a real engine.
    """
    engine = config.engine
    if engine.virtual_board is not None:
        return _virtual(config, engine.virtual_board, clock)
    if engine.backend in PACED:
        return _real(config, clock)
    return Parts(told=Told(f"no meter is read: the backend {engine.backend} is not paced"))


def _virtual(config: Config, name: str, clock: Callable[[], float]) -> Parts:
    if config.engine.backend != "sim":
        raise ConfigError(
            f'engine.virtual_board = "{name}": only the simulated engine runs on a '
            f'virtual board; set engine.backend = "sim", or leave virtual_board out'
        )
    soc = SOCS[name]
    # The simulated engine is another process and does not feel the clocks: pauses alone.
    live = LiveBoard(drawn(soc, 0), frozenset(), clock)
    parts = Parts(soc, live, None, live.run, Told(f"the virtual meter of {name}: simulated"))
    here = Key(f"virtual {name}", os.uname().release, live.name)
    return _calibrated(parts, here, recall(config.state_dir / TABLE_FILE, here))


def _real(config: Config, clock: Callable[[], float]) -> Parts:
    """Return the parts of a machine that computes on its cores, or on its NPU."""
    root, soc = config.power.sysfs or SYS, soc_of(config.power.sysfs or SYS)
    unused = frozenset[str]() if config.uses_npu else UNUSED
    chosen = choose_meter(wish_of(config.power), _no_engine, root, clock=clock)
    is_held = is_held_by(chosen)
    here = key_of(config, root, chosen.name if is_held else None, chosen.shunt_ohm)
    recalled = recall(config.state_dir / TABLE_FILE, here)
    if recalled.table is not None and not is_held:
        wish = wish_of(config.power, recalled.table.estimate)
        chosen = choose_meter(wish, _no_engine, root, clock=clock)
    parts = Parts(
        # Without its operating points nobody knows what a clock of this machine saves.
        soc=soc if soc is None or config.uses_npu else on_cpu(soc),
        meter=chosen.meter if is_held else None,
        knobs=None
        if soc is None
        else KernelKnobs.discover(root, config.state_dir, unused, clock=clock),
        told=Told(_sentence(chosen, recalled), chosen.passed_over, chosen.supply_w),
    )
    return _calibrated(parts, here, recalled)


def _calibrated(parts: Parts, here: Key, recalled: Recalled) -> Parts:
    """Return the parts with the table that is of them, or with what is wrong with it."""
    table = recalled.table
    told = replace(
        parts.told,
        calibration=None if table is None else table.sentence,
        calibration_warning=recalled.warning or None,
    )
    return replace(parts, told=told, key=here, table=table)


def key_of(config: Config, root: Path, meter: str | None, shunt_ohm: float | None) -> Key:
    """Return what a calibration made here would be of. Blocking."""
    board = next(iter(compatible(root)), platform.machine())
    computed = "the CPU"
    if config.uses_npu:
        computed = "RKLLM" if config.engine.backend == "rkllm" else "llama.cpp on the NPU"
    return Key(board, os.uname().release, meter, shunt_ohm, computed)


def estimate_here(
    config: Config,
    use: Callable[[], Use | None],
    taught: Table | None,
    clock: Callable[[], float],
    window_s: float | None = None,
) -> EstimateMeter:
    """Return the estimate of this machine, corrected by what a calibration taught. Blocking.

    Args:
        config: `[power]`.
        use: the engine's totals.
        taught: the table in force; None: its watts are as the coefficients have them.
        clock: monotonic seconds.
        window_s: what a reading is the mean of; None: `power.window_s`.
    """
    wish = wish_of(config.power, UNCALIBRATED if taught is None else taught.estimate)
    root = config.power.sysfs or SYS
    return estimate_of(wish, use, root, clock, window_s or config.power.window_s)


def wish_of(power: config.Power, taught: Calibration = UNCALIBRATED) -> Wish:
    """Return what the configuration wants of a meter."""
    coefficients = of_cores(power.idle_w, power.core_w, power.core_hz, power.error_share)
    return Wish(coefficients, power.meter, shunt_ohm=power.shunt_ohm, calibration=taught)


def _no_engine() -> None:
    """The estimate is chosen for its sentence: the forecast knows which step runs, it does not."""


def is_held_by(chosen: Chosen) -> bool:
    """Return whether its watts are a measurement of what the budget is of."""
    return chosen.kind != "estimate" and chosen.boundary == "board_input"


def _sentence(chosen: Chosen, recalled: Recalled) -> str:
    if is_held_by(chosen):
        return chosen.why
    if recalled.table is not None:
        return f"{chosen.why}; the budget is held by the forecast of the calibration"
    return f"{chosen.why}; the budget is not held by it"


def outfit(
    config: Config, parts: Parts, learned_file: Kept | None, clock: Callable[[], float]
) -> Outfit:
    """Return the law that holds these parts to the configured budget.

    Raises:
        ConfigError: the budget means nothing; names the key and what to do.
    """
    start = NOTHING if parts.table is None else parts.table.learned()
    learned = start if learned_file is None else learned_file.load(parts.name, start)
    budget = budget_of(config.power, learned.floor_w)
    checked(budget, config.engine.step_s_max, metered=parts.meter is not None)
    prior = parts.soc or STAND_IN
    points = points_of(parts)
    if parts.table is not None:
        points = applied(points, prior, parts.table)
    is_own = parts.soc is not None or parts.table is not None
    soc, chunk_tokens = prior if is_own else STRANGER, config.engine.chunk_tokens
    forecast = Forecast(soc, points, learned, chunk_tokens, is_own=is_own)
    settings = _settings(config, parts, budget)
    return Outfit(parts, Law(forecast, budget.limits(), settings, clock()), budget, learned_file)


def points_of(parts: Parts) -> tuple[Point, ...]:
    """Return what the knobs of this board can set, full speed last, as the prior has it."""
    prior, knobs = parts.soc or STAND_IN, parts.knobs
    if knobs is None:
        return operating_points(prior, frozenset())
    tables = {domain: knobs.steps_hz(domain) for domain in DOMAINS if domain in knobs.domains}
    return reachable(operating_points(prior, knobs.domains), tables)


def _settings(config: Config, parts: Parts, budget: Budget) -> Settings:
    is_calibrated, metered = parts.table is not None, parts.meter is not None
    known = parts.soc is not None or is_calibrated
    why_off = "there is neither a known board nor a meter: watts are estimated and not held"
    if budget.enforce == "never":
        why_off = 'power.enforce = "never": watts are shown and not held'
    return Settings(
        step_s_max=config.engine.step_s_max,
        sequences_max=1 if config.engine.backend == "rkllm" else config.model.sequences,
        cuts_prefill=config.engine.backend != "rkllm",
        board_known=known,
        enforce=budget.is_held(board_known=known, metered=metered),
        why_off=why_off,
        has_meter=metered,
        is_calibrated=is_calibrated and not metered,
    )
