"""Chooses the meter of this machine, and says what it chose and why.

In:  a root, what the configuration wants, the engine's use.     Out: `Chosen`.
Best first: a chip of the INA family, powercap, the estimate, which is always there. What cannot
be decided without a person is not guessed: two chips, or three rails of one, are passed over with
a sentence that names what to configure. USB-PD contracts are never meters.
Blocking: opens a dozen small files, and sets the averaging of the chip.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from edged.board.domains import soc_of
from edged.board.meter import Meter
from edged.board.meters.calibration import UNCALIBRATED, Calibration
from edged.board.meters.doubt import Bounds, Doubted
from edged.board.meters.dynamic import Coefficients, of_soc
from edged.board.meters.estimate import WINDOW_S, EstimateMeter
from edged.board.meters.hwmon import Chip, HwmonMeter, find_chips
from edged.board.meters.powercap import ERROR_SHARE, WHOLE_MACHINE, PowercapMeter, find_zones
from edged.board.meters.supply import find_contracts
from edged.board.sysfs import SYS, entries, optional_text
from edged.board.use import Use

Kind = Literal["hwmon", "powercap", "estimate"]
Boundary = Literal["board_input", "soc"]
Clock = Callable[[], float]
# What a chip in a board's supply can show; a processor with powercap is another class of machine.
BOARD, PROCESSOR = Bounds(), Bounds(least_w=0.05, most_w=1000.0)
# Source: ina2xx.c, INA2XX_RSHUNT_DEFAULT, where the device tree is silent; many INA219 boards carry
# ten times as much, and would read ten times too high.
DRIVER_SHUNT_OHM = 0.01
# Source: ina238.c, which takes the shunt from the device tree and shows it in no file.
SHUNT_UNTOLD = frozenset({"ina228", "ina237", "ina238"})
# Labels that say that a rail feeds the whole board. Our choice.
INPUT_LABEL = re.compile(r"(?i)(^|[^a-z])(dc[-_ ]?in|vin|input|vcc[-_]?in|board|vbus|vdd[-_]?in)")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the configuration says.

    Attributes:
        meter: `auto`, `hwmon`, `powercap`, `estimate`, or a chip such as `ina226@1-0040`.
        period_s: the meter is read about this often.
        shunt_ohm: what is soldered on; None believes the driver.
        coefficients: of the estimate where the device tree names no SoC that is known.
    """

    coefficients: Coefficients
    meter: str = "auto"
    period_s: float = 0.125
    shunt_ohm: float | None = None
    calibration: Calibration = UNCALIBRATED


@dataclass(frozen=True, slots=True)
class Chosen:
    """The meter in force.

    Attributes:
        name: which one, as a configuration names it.
        boundary: what it measures; `soc` is without the board around it.
        shunt_ohm: what its watts are reckoned with; None where it has none, or has it inside.
        why: one sentence: what was chosen and why.
        passed_over: one sentence for each meter that was found and not chosen.
        supply_w: what the USB-PD contract allows; None without one.
    """

    meter: Meter
    kind: Kind
    name: str
    boundary: Boundary
    error_share: float
    why: str
    shunt_ohm: float | None = None
    passed_over: tuple[str, ...] = ()
    supply_w: float | None = None


@dataclass(frozen=True, slots=True)
class _Passed:
    """A kind of meter that cannot be used, and the reasons."""

    reasons: tuple[str, ...]


def choose_meter(
    wish: Wish,
    use: Callable[[], Use | None],
    root: Path = SYS,
    bounds: Bounds = BOARD,
    clock: Clock = time.monotonic,
) -> Chosen:
    """Return the meter to use; the estimate where nothing better is there. Blocking.

    A wish that this machine cannot fulfil is no error, since a chip can come loose in a warehouse:
    the estimate takes its place, and `why` says so.
    """
    contracts = find_contracts(root)
    supply_w = max((one.power_w_max for one in contracts), default=0.0) or None
    refused = [one.sentence for one in contracts] + _other_drivers(root)
    for attempt in (_hwmon, _powercap):
        found = attempt(wish, root, bounds, clock)
        if isinstance(found, _Passed):
            refused += found.reasons
            continue
        return replace(found, passed_over=tuple(refused), supply_w=supply_w)
    estimate = _estimate(wish, use, root, clock)
    return replace(estimate, passed_over=tuple(refused), supply_w=supply_w)


def _hwmon(wish: Wish, root: Path, bounds: Bounds, clock: Clock) -> Chosen | _Passed:
    if wish.meter in ("estimate", "powercap"):
        return _Passed(())
    chips = find_chips(root)
    picked = _picked(wish, chips)
    if isinstance(picked, _Passed):
        return picked
    chip, reason = picked
    meter = HwmonMeter(root, chip, wish.period_s, wish.shunt_ohm, clock)
    how = "counts energy" if chip.way == "energy" else meter.averaging.why
    return Chosen(
        meter=Doubted(meter, bounds, clock),
        kind="hwmon",
        name=chip.id,
        boundary="board_input",
        error_share=meter.error_share,
        shunt_ohm=wish.shunt_ohm or chip.shunt_ohm,
        why=f"{chip.id}: {reason}; {how}{_shunt(chip, wish)}, +-{meter.error_share:.0%}",
    )


def _shunt(chip: Chip, wish: Wish) -> str:
    """Return what the driver reckons with, and whether anybody has said that it is so."""
    shunt_ohm = chip.shunt_ohm
    if shunt_ohm is None:
        return _untold(chip, wish)
    is_silent = wish.shunt_ohm is None and shunt_ohm == DRIVER_SHUNT_OHM
    doubt = (
        " (also the driver's own default: power.shunt_ohm would confirm it)" if is_silent else ""
    )
    return f", shunt {shunt_ohm * 1e3:g} mOhm{doubt}"


def _untold(chip: Chip, wish: Wish) -> str:
    """Return why there is no shunt to be named, and that a configured one cannot be checked."""
    if chip.name not in SHUNT_UNTOLD:
        return ""  # it is inside the chip
    unchecked = "" if wish.shunt_ohm is None else ", so power.shunt_ohm cannot be checked"
    return f", shunt not told by its driver{unchecked}"


def _picked(wish: Wish, chips: tuple[Chip, ...]) -> tuple[Chip, str] | _Passed:
    """Return the chip that measures the board's input, and how that is known."""
    if "@" in wish.meter:
        named = [chip for chip in chips if chip.id == wish.meter]
        if named:
            return named[0], "it is configured"
        there = ", ".join(chip.id for chip in chips) or "none"
        return _Passed((f"{wish.meter} is configured and not there; chips found: {there}",))
    if not chips:
        sought = "no chip of the INA family in hwmon; power.meter asks for one"
        return _Passed((sought,) if wish.meter == "hwmon" else ())
    if len(chips) == 1:
        return chips[0], "the only power chip here"
    labelled = [chip for chip in chips if chip.label and INPUT_LABEL.search(chip.label)]
    if len(labelled) == 1:
        return labelled[0], f"its label {labelled[0].label!r} says that it feeds the board"
    names = ", ".join(chip.id for chip in chips)
    why = "which of them measures the board's input is not known: name it in power.meter"
    return _Passed((f"{names}: {why}",))


def _powercap(wish: Wish, root: Path, _: Bounds, clock: Clock) -> Chosen | _Passed:
    if wish.meter not in ("auto", "powercap"):
        return _Passed(())
    zones = find_zones(root)
    if not zones:
        missing = "no energy counter in powercap; power.meter asks for one"
        return _Passed((missing,) if wish.meter == "powercap" else ())
    unread = [zone.name for zone in zones if optional_text(zone.folder / "energy_uj") is None]
    if unread:
        why = "its counter may not be read by this user (root only, by the kernel's default)"
        return _Passed((f"powercap {', '.join(unread)}: {why}",))
    is_whole = zones[0].name == WHOLE_MACHINE
    names = "+".join(zone.name for zone in zones)
    around = "the whole machine" if is_whole else "the processor, without the board around it"
    return Chosen(
        meter=Doubted(PowercapMeter(zones, clock), PROCESSOR, clock),
        kind="powercap",
        name=f"powercap {names}",
        boundary="board_input" if is_whole else "soc",
        error_share=ERROR_SHARE,
        why=f"powercap {names}: counts the energy of {around}",
    )


def _estimate(wish: Wish, use: Callable[[], Use | None], root: Path, clock: Clock) -> Chosen:
    meter, soc = estimate_of(wish, use, root, clock), soc_of(root)
    of = "the configured coefficients" if soc is None else f"the constants of {soc.name}"
    taught = f"calibrated against {wish.calibration.against}"
    checked = taught if wish.calibration.error_share is not None else "never calibrated"
    wanted = "it is configured" if wish.meter == "estimate" else "no meter can be used here"
    return Chosen(
        meter=meter,
        kind="estimate",
        name="estimate",
        boundary="board_input",
        error_share=meter.error_share,
        why=f"estimate: {wanted}; {of}, {checked}, +-{meter.error_share:.0%}",
    )


def estimate_of(
    wish: Wish,
    use: Callable[[], Use | None],
    root: Path = SYS,
    clock: Clock = time.monotonic,
    window_s: float = WINDOW_S,
) -> EstimateMeter:
    """Return the estimate of this machine, by its SoC's constants where that is known. Blocking."""
    soc = soc_of(root)
    coefficients = wish.coefficients if soc is None else of_soc(soc)
    return EstimateMeter(root, coefficients, use, wish.calibration, clock, window_s)


def _other_drivers(root: Path) -> list[str]:
    """Return chips that another driver of the kernel has taken.

    Source: drivers/iio/adc/Kconfig: INA2XX_ADC and SENSORS_INA2XX exclude each other.
    """
    names = [optional_text(one / "name") for one in entries(root / "bus/iio/devices")]
    taken = [name for name in names if name is not None and name.startswith("ina2")]
    return [
        f"{name} belongs to the IIO driver here; edged reads hwmon: build the kernel with "
        "SENSORS_INA2XX in place of INA2XX_ADC"
        for name in taken
    ]
