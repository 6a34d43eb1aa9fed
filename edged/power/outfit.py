"""What this board can be held with: its forecast, its meter, its knobs, and the law over them.

In:  the configuration, what was learned.     Out: `Outfit`, for the governor.
The one place that decides whether the budget is held, and why not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edged import config
from edged.board.domains import soc_of
from edged.board.knob import Knobs
from edged.board.knobs.kernel import KernelKnobs
from edged.board.meter import Meter
from edged.board.meters.choose import Chosen, Wish, choose_meter
from edged.board.meters.dynamic import of_cores
from edged.board.reach import reachable
from edged.board.soc import DOMAINS, RK3588, SOCS, Point, Soc, on_cpu, operating_points
from edged.board.sysfs import SYS
from edged.board.virtual.live import LiveBoard
from edged.board.virtual.plant import drawn
from edged.config import Config
from edged.errors import ConfigError
from edged.power.budget import Budget, budget_of, checked
from edged.power.forecast import Forecast, Learned, Phase
from edged.power.kept import Kept
from edged.power.law import Law, Settings

# Without a meter the law still forecasts; nothing is held by a forecast of another board.
STAND_IN = on_cpu(RK3588)
# llama.cpp computes on the big cores: the NPU's clock changes nothing.
UNUSED = frozenset({"npu"})


@dataclass(frozen=True, slots=True)
class Told:
    """What was chosen to say the watts, and why, for the log and for `state`.

    Attributes:
        meter: one sentence.
        passed_over: one for each meter that was found and not chosen.
        supply_w: what the USB-PD contract allows; None without one.
    """

    meter: str = "no meter was sought"
    passed_over: tuple[str, ...] = ()
    supply_w: float | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the board has.

    Attributes:
        soc: the board, as the prior knows it; None: another machine.
        meter, knobs: None where there is none.
        runs: told which phase runs from now on; the virtual board draws it.
        told: how the meter came to be the one.
    """

    soc: Soc | None = None
    meter: Meter | None = None
    knobs: Knobs | None = None
    runs: Callable[[Phase | None], None] = lambda phase: None
    told: Told = Told()

    @property
    def name(self) -> str:
        """Return whose gains are learned here."""
        return "unknown" if self.soc is None else self.soc.name


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
        return _virtual(engine, engine.virtual_board, clock)
    if engine.backend == "llama":
        return _real(config, clock)
    return Parts(told=Told(f"no meter is read: the backend {engine.backend} is not paced"))


def _virtual(engine: config.Engine, name: str, clock: Callable[[], float]) -> Parts:
    if engine.backend != "sim":
        raise ConfigError(
            f'engine.virtual_board = "{name}": only the simulated engine runs on a '
            f'virtual board; set engine.backend = "sim", or leave virtual_board out'
        )
    soc = SOCS[name]
    # The simulated engine is another process and does not feel the clocks: pauses alone.
    live = LiveBoard(drawn(soc, 0), frozenset(), clock)
    return Parts(soc, live, None, live.run, Told(f"the virtual meter of {name}: simulated"))


def _real(config: Config, clock: Callable[[], float]) -> Parts:
    """Return the parts of a machine whose cores llama.cpp computes on."""
    root = config.power.sysfs or SYS
    chosen, soc = choose_meter(_wish(config.power), _no_engine, root, clock=clock), soc_of(root)
    meter = chosen.meter if _is_held_by(chosen) else None
    told = Told(_sentence(chosen), chosen.passed_over, chosen.supply_w)
    if soc is None:
        # Without its operating points nobody knows what a clock of this machine saves.
        return Parts(meter=meter, told=told)
    knobs = KernelKnobs.discover(root, config.state_dir, UNUSED, clock=clock)
    return Parts(on_cpu(soc), meter, knobs, told=told)


def _wish(power: config.Power) -> Wish:
    coefficients = of_cores(power.idle_w, power.core_w, power.core_hz, power.error_share)
    return Wish(coefficients, power.meter, shunt_ohm=power.shunt_ohm)


def _no_engine() -> None:
    """The estimate is chosen for its sentence: the forecast knows which step runs, it does not."""


def _is_held_by(chosen: Chosen) -> bool:
    """Return whether its watts are a measurement of what the budget is of."""
    return chosen.kind != "estimate" and chosen.boundary == "board_input"


def _sentence(chosen: Chosen) -> str:
    if _is_held_by(chosen):
        return chosen.why
    return f"{chosen.why}; the budget is not held by it"


def outfit(
    config: Config, parts: Parts, learned_file: Kept | None, clock: Callable[[], float]
) -> Outfit:
    """Return the law that holds these parts to the configured budget.

    Raises:
        ConfigError: the budget means nothing; names the key and what to do.
    """
    learned = Learned() if learned_file is None else learned_file.load(parts.name)
    budget = budget_of(config.power, learned.floor_w)
    checked(budget, config.engine.step_s_max, metered=parts.meter is not None)
    prior = parts.soc or STAND_IN
    forecast = Forecast(
        prior,
        _points(prior, parts.knobs),
        learned,
        config.engine.chunk_tokens,
        is_own=parts.soc is not None,
    )
    settings = _settings(config, parts, budget)
    return Outfit(parts, Law(forecast, budget.limits(), settings, clock()), budget, learned_file)


def _points(prior: Soc, knobs: Knobs | None) -> tuple[Point, ...]:
    """Return what the knobs of this board can set, full speed last."""
    if knobs is None:
        return operating_points(prior, frozenset())
    tables = {domain: knobs.steps_hz(domain) for domain in DOMAINS if domain in knobs.domains}
    return reachable(operating_points(prior, knobs.domains), tables)


def _settings(config: Config, parts: Parts, budget: Budget) -> Settings:
    known, metered = parts.soc is not None, parts.meter is not None
    why_off = "there is neither a known board nor a meter: watts are estimated and not held"
    if budget.enforce == "never":
        why_off = 'power.enforce = "never": watts are shown and not held'
    return Settings(
        step_s_max=config.engine.step_s_max,
        sequences_max=config.model.sequences,
        board_known=known,
        enforce=budget.is_held(board_known=known, metered=metered),
        why_off=why_off,
        has_meter=metered,
    )
