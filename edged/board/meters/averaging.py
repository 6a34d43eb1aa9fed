"""Makes a chip average over at least the period at which it is read.

In:  a chip's hwmon folder, the read period.     Out: how long it averages, and what was done.
A chip that averages 35 ms and is read every 100 ms misses two thirds of what happens: prefill and
decode differ by watts, and change places in that time. A driver that is bound anew starts with
its default, so this is asked again when the chip comes back, and now and then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edged.board.sysfs import optional_number, write_number

# Averaging of drivers that do not say it. Source: ina2xx.c, INA219_CONFIG_DEFAULT 0x399f, two
# conversions of 532 us; ina238.c, INA238_ADC_CONFIG_DEFAULT 0xfb6a, 16 samples of three
# conversions of 1,052 us.
DRIVER_S = {"ina219": 0.00106, "ina220": 0.00106}
DRIVER_S |= dict.fromkeys(("ina228", "ina237", "ina238"), 0.0505)
# Source: ina3221.c, ina3221_avg_samples; the INA226 knows the same steps as its update interval.
SAMPLES = (1, 4, 16, 64, 128, 256, 512, 1024)
# A chip that averages less than it is read: the mean of a window is that of its samples. 1.5 W of
# swing between phases, 8 readings in the peak's second, of 4 W: 1.5 / sqrt(8) / 4.
SAMPLED_SHARE = 0.13


@dataclass(frozen=True, slots=True)
class Averaging:
    """How long a chip averages.

    Attributes:
        mean_s: 0 where nobody says.
        covers_period: whether nothing between two readings is missed.
        why: a sentence for `state`.
    """

    mean_s: float
    covers_period: bool
    why: str

    @property
    def error_share(self) -> float:
        """Return what it adds to the chip's error band."""
        return 0.0 if self.covers_period else SAMPLED_SHARE


def set_averaging(folder: Path, chip: str, period_s: float) -> Averaging:
    """Make a chip average at least `period_s`, and return what its driver then says.

    What is enough already is left alone. A write that is refused is no error: the answer tells.
    """
    refused = None
    if _mean_s(folder) < period_s:
        refused = _raise_interval(folder, period_s)
    if _mean_s(folder) < period_s:
        refused = _raise_samples(folder, period_s) or refused
    return _judged(_mean_s(folder), chip, period_s, refused)


def _judged(told_s: float, chip: str, period_s: float, refused: str | None) -> Averaging:
    mean_s = told_s or DRIVER_S.get(chip, 0.0)
    if mean_s >= period_s:
        return Averaging(mean_s, True, f"averages {mean_s * 1e3:.0f} ms")
    told = f"averages {mean_s * 1e3:.0f} ms" if mean_s else "does not say how long it averages"
    why = f"{told}, is read every {period_s * 1e3:.0f} ms: what is between is missed"
    return Averaging(mean_s, False, why if refused is None else f"{why} ({refused})")


def _mean_s(folder: Path) -> float:
    """Return the chip's whole conversion in seconds; 0 where the driver does not tell.

    Source: sysfs-interface.rst and ina2xx.rst: update_interval is in milliseconds, with averages.
    """
    return (optional_number(folder / "update_interval") or 0.0) / 1e3


def _raise_interval(folder: Path, period_s: float) -> str | None:
    """Ask for longer conversions until they are long enough; return why they are not.

    The driver rounds to the nearest step, which may be a shorter one.
    """
    asked_ms = math.ceil(period_s * 1e3)
    for _ in SAMPLES:
        refused = _write(folder / "update_interval", asked_ms)
        if refused is not None or _mean_s(folder) >= period_s:
            return refused
        asked_ms *= 2
    return None


def _raise_samples(folder: Path, period_s: float) -> str | None:
    """Ask for more samples; the INA3221 has them apart from its conversion time."""
    now = optional_number(folder / "samples")
    for samples in SAMPLES if now is not None else ():
        if samples > (now or 0):
            refused = _write(folder / "samples", samples)
            if refused is not None or _mean_s(folder) >= period_s:
                return refused
    return None


def _write(path: Path, number: int) -> str | None:
    try:
        write_number(path, number)
    except FileNotFoundError:
        return None  # this chip cannot
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    return None
