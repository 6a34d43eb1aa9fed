"""Watts from the energy counters of powercap, where a machine has them.

In:  `class/powercap` below a root.     Out: mean watts since the last reading.
RAPL's `psys` is the whole machine; `package-N` is a processor alone, without the board around
it. Both wrap at `max_energy_range_uj`. Kernels since 5.10 let only root read the counters.
Source: Documentation/power/powercap/powercap.rst.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.board.meter import Reading
from edged.board.meters.counter import EnergyCounter, Interval
from edged.board.meters.fault import MeterFault, named
from edged.board.sysfs import entries, optional_number, optional_text, read_number

WHOLE_MACHINE = "psys"
PACKAGE = "package-"
# Our choice: RAPL's counters are modelled by the processor, and their error is not published.
ERROR_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Zone:
    """One counter."""

    name: str
    folder: Path

    @property
    def range_uj(self) -> float | None:
        """Return where it wraps."""
        return optional_number(self.folder / "max_energy_range_uj")


def find_zones(root: Path) -> tuple[Zone, ...]:
    """Return the counters to add up: the whole machine if it has one, else every package once.

    The same package can be there twice, as `intel-rapl` and as `intel-rapl-mmio`: the first counts.
    """
    found: dict[str, Zone] = {}
    for folder in sorted(entries(root / "class/powercap"), key=lambda one: "mmio" in one.name):
        name = optional_text(folder / "name")
        if name is not None and (folder / "energy_uj").exists():
            found.setdefault(name, Zone(name, folder))
    if WHOLE_MACHINE in found:
        return (found[WHOLE_MACHINE],)
    return tuple(zone for name, zone in sorted(found.items()) if name.startswith(PACKAGE))


class PowercapMeter:
    """Adds up zones of powercap."""

    def __init__(
        self, zones: tuple[Zone, ...], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counters = [(zone, EnergyCounter(zone.range_uj)) for zone in zones]
        self._name = "powercap " + "+".join(zone.name for zone in zones)
        self._clock = clock
        for zone, counter in self._counters:
            energy_uj = optional_number(zone.folder / "energy_uj")
            if energy_uj is not None:
                counter.take(energy_uj, clock())

    def read(self) -> Reading:
        """Return the mean since the last reading; blocking.

        Raises:
            MeterFault: `gone`, `denied`, `unreadable` or `settling`.
        """
        asked_s = self._clock()
        intervals = [self._interval(*pair, asked_s) for pair in self._counters]
        watts_w = sum(one.mean_w for one in intervals)
        length_s = max(one.length_s for one in intervals)
        return Reading(watts_w, asked_s, length_s, ERROR_SHARE, self._name)

    def _interval(self, zone: Zone, counter: EnergyCounter, asked_s: float) -> Interval:
        try:
            energy_uj = read_number(zone.folder / "energy_uj")
        except (OSError, ValueError) as error:
            raise named(error, f"powercap {zone.name}") from error
        interval = counter.take(energy_uj, asked_s)
        if interval is None:
            raise MeterFault("settling", f"powercap {zone.name} counts from here on")
        return interval
