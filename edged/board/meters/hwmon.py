"""A power chip of Texas Instruments' INA family, through the kernel's hwmon.

In:  `class/hwmon` below a root.     Out: the chips that are there; watts of one of them.
hwmonN changes from boot to boot and when a driver is bound anew: a chip is known by its name and
by the device that its `device` link leads to, such as `1-0040`.
Units of hwmon: microwatts, millivolts, milliamperes, microjoules. Blocking: I2C transfers.
Source: Documentation/hwmon/sysfs-interface.rst, ina2xx.rst, ina238.rst, ina3221.rst.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edged.board.meter import Reading
from edged.board.meters.averaging import Averaging, set_averaging
from edged.board.meters.conversions import Conversions
from edged.board.meters.counter import EnergyCounter
from edged.board.meters.fault import MeterFault, named
from edged.board.sysfs import entries, linked_name, optional_number, optional_text, read_number

POWER_CHIPS = frozenset(
    {"ina219", "ina220", "ina226", "ina228", "ina230", "ina231", "ina237", "ina238", "ina260"}
)
THREE_CHANNELS = "ina3221"
# Source: tcpm.c: voltage and current of this node are constants of the USB-PD contract; their
# product is what the supply may give, for ever the same.
CONTRACTS = "tcpm_source_psy"
# A shunt of 1 % and the chip's own gain error; the INA260 has its shunt inside. Our choice.
ERROR_SHARE = {"ina260": 0.01}
ERROR_SHARE_OF_OTHERS = 0.02
# The driver starts with its defaults after the chip lost power, and tells nobody.
CHECK_AGAIN_S = 10.0
# A shunt that differs by more from what was configured is another one.
SHUNT_SHARE = 0.02

Way = Literal["power", "energy", "product"]


@dataclass(frozen=True, slots=True)
class Chip:
    """One channel of one chip.

    Attributes:
        name: of the driver's node, such as `ina226`.
        device: where it sits, such as `1-0040`: bus 1, address 0x40.
        folder: its hwmon folder below the device at the moment; `class/hwmon/hwmonN` may be
            another chip's after a renumbering.
        way: how its watts are read; a counter of joules misses nothing.
        channel: of the INA3221, 1 to 3; None for the others.
        label: what the board's makers called it, if they did.
    """

    name: str
    device: str
    folder: Path
    way: Way
    channel: int | None = None
    label: str | None = None

    @property
    def id(self) -> str:
        """Return how a configuration names it: `ina226@1-0040`, `ina3221@1-0040/2`."""
        channel = "" if self.channel is None else f"/{self.channel}"
        return f"{self.name}@{self.device}{channel}"

    @property
    def shunt_ohm(self) -> float | None:
        """Return the shunt that its driver reckons with; None where it is inside the chip."""
        name = "shunt_resistor" if self.channel is None else f"shunt{self.channel}_resistor"
        found_uohm = optional_number(self.folder / name)
        return None if found_uohm is None else found_uohm / 1e6


def find_chips(root: Path) -> tuple[Chip, ...]:
    """Return every power channel of the INA family, ordered by its name."""
    found = [chip for node in entries(root / "class/hwmon") for chip in _chips_of(node)]
    return tuple(sorted(found, key=lambda chip: chip.id))


def _chips_of(node: Path) -> list[Chip]:
    name, device = optional_text(node / "name"), linked_name(node / "device")
    if name is None or device is None:
        return []
    folder = node.resolve()
    if name in POWER_CHIPS:
        way: Way = "energy" if (folder / "energy1_input").exists() else "power"
        return [Chip(name, device, folder, way, label=optional_text(folder / "label"))]
    if name != THREE_CHANNELS:
        return []
    wired = [one for one in (1, 2, 3) if optional_number(folder / f"in{one}_enable") != 0]
    return [_channel(name, device, folder, one) for one in wired]


def _channel(name: str, device: str, folder: Path, channel: int) -> Chip:
    label = optional_text(folder / f"in{channel}_label")
    return Chip(name, device, folder, "product", channel, label)


class HwmonMeter:
    """Reads one chip, and finds it again when its number changed.

    Args:
        chip: as found.
        period_s: it will be read about this often; its averaging is made at least so long.
        shunt_ohm: what is soldered on; None believes the driver.
    """

    def __init__(
        self,
        root: Path,
        chip: Chip,
        period_s: float,
        shunt_ohm: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._chip = chip
        self._period_s = period_s
        self._shunt_ohm = shunt_ohm
        self._clock = clock
        self._counter = EnergyCounter()
        self._averaging = self._set_up()
        self._conversions = Conversions(self._averaging.mean_s)
        if chip.way == "energy":
            self._look()

    @property
    def averaging(self) -> Averaging:
        """Return how long it averages, and whether that is enough."""
        return self._averaging

    @property
    def error_share(self) -> float:
        """Return the error band: chip, shunt, and what is missed between readings."""
        share = ERROR_SHARE.get(self._chip.name, ERROR_SHARE_OF_OTHERS)
        return share if self._chip.way == "energy" else share + self._averaging.error_share

    def read(self) -> Reading:
        """Return the newest mean; blocking.

        Raises:
            MeterFault: `gone`, `denied`, `unreadable`, `settling` or `wrong_shunt`.
        """
        # Taken before: a transfer that hangs makes the reading older, never newer.
        asked_s = self._clock()
        try:
            watts_w, averaging_s = self._watts(asked_s)
        except (OSError, ValueError) as error:
            self._find_again()
            raise named(error, self._chip.id) from error
        at_s = self._end_s(watts_w, asked_s)
        if asked_s >= self._check_s:
            self._set_up_again()
        self._check_shunt()
        return Reading(watts_w, at_s, averaging_s, self.error_share, self._chip.id)

    def _end_s(self, watts_w: float, asked_s: float) -> float:
        """Return when the mean ended; a counter's ends now, and so does a sample."""
        is_mean = self._chip.way != "energy" and self._averaging.covers_period
        return self._conversions.end_s(watts_w, asked_s) if is_mean else asked_s

    def _watts(self, asked_s: float) -> tuple[float, float]:
        chip = self._chip
        if chip.way == "product":
            bus_mv = read_number(chip.folder / f"in{chip.channel}_input")
            current_ma = read_number(chip.folder / f"curr{chip.channel}_input")
            return bus_mv * current_ma / 1e6, self._averaging.mean_s
        if chip.way == "power":
            return read_number(chip.folder / "power1_input") / 1e6, self._averaging.mean_s
        interval = self._counter.take(read_number(chip.folder / "energy1_input"), asked_s)
        if interval is None:
            raise MeterFault("settling", f"{self._chip.id} counts from here on")
        return interval.mean_w, interval.length_s

    def _look(self) -> None:
        """Take the counter's first look, so that the first reading is one."""
        energy_uj = optional_number(self._chip.folder / "energy1_input")
        if energy_uj is not None:
            self._counter.take(energy_uj, self._clock())

    def _set_up(self) -> Averaging:
        self._check_s = self._clock() + CHECK_AGAIN_S
        self._driver_ohm = self._chip.shunt_ohm
        return set_averaging(self._chip.folder, self._chip.name, self._period_s)

    def _set_up_again(self) -> None:
        before, self._averaging = self._averaging, self._set_up()
        if self._averaging != before:
            self._conversions = Conversions(self._averaging.mean_s)

    def _check_shunt(self) -> None:
        told_ohm, true_ohm = self._driver_ohm, self._shunt_ohm
        if told_ohm is None or true_ohm is None:
            return
        if abs(told_ohm / true_ohm - 1) > SHUNT_SHARE:
            why = (
                f"{self._chip.id}: the driver reckons with {told_ohm * 1e3:g} mOhm, "
                f"{true_ohm * 1e3:g} mOhm are configured; put the right one into "
                "shunt-resistor of the device tree, or into power.shunt_ohm"
            )
            raise MeterFault("wrong_shunt", why)

    def _find_again(self) -> None:
        """Look the chip up by name and device; the next reading is of where it is now."""
        self._check_s = 0.0  # it may come back with its driver's defaults
        for chip in find_chips(self._root):
            if chip.id == self._chip.id and chip.folder != self._chip.folder:
                self._chip = chip
                self._counter = EnergyCounter()
                self._set_up_again()
