"""One clock cap: a file of devfreq or cpufreq that takes the highest clock allowed.

In:  a folder of devfreq or a policy of cpufreq, Hz.     Out: what is in force, or why not.
The kernel takes the lowest of all caps: a thermal cap under ours wins, and the file then reads
lower than it was written. Reading higher than written means that the write did nothing.
Blocking: a few small files.
Source: drivers/devfreq/devfreq.c: max_freq in Hz, rounded up to kHz; it shows the cap in force,
not the one written. Documentation/admin-guide/pm/cpufreq.rst: scaling_max_freq in kHz.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edged.board.domains import big_policies, ddr_devfreq, npu_devfreq
from edged.board.soc import Domain
from edged.board.sysfs import optional_number, optional_text, probe_write, write_number

KnobFault = Literal[
    "missing",  # no such node on this kernel or firmware
    "denied",  # this user may not write it
    "read_only",  # /sys is mounted so, or the unit's sandbox makes it so
    "refused",  # the kernel does not take the value
    "ignored",  # the write does nothing
    "contested",  # somebody else keeps writing it
    "unsaved",  # what it was cannot be stored, so it could not be restored
]
# devfreq rounds up to kHz, some tables to MHz.
SAME_SHARE = 0.001

_BY_ERRNO: dict[int, KnobFault] = {
    errno.ENOENT: "missing",
    errno.ENODEV: "missing",
    errno.ENOTDIR: "missing",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "read_only",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a cap cannot be used: its name, and a sentence for `state`."""

    fault: KnobFault
    why: str


@dataclass(frozen=True, slots=True)
class Cap:
    """One file, and the clocks that its table offers.

    Attributes:
        folder: `class/devfreq/fdab0000.npu`, `devices/system/cpu/cpufreq/policy4`.
        file: `max_freq` or `scaling_max_freq`; `current` is the clock in force.
        unit_hz: what one of its counts is.
        steps_hz: the table, slowest first; empty where the kernel tells none.
    """

    domain: Domain
    folder: Path
    file: str
    current: str
    unit_hz: float
    steps_hz: tuple[float, ...]

    @property
    def name(self) -> str:
        """Return the node's name, as a person finds it."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """Return the file that is written."""
        return self.folder / self.file

    def step_under(self, clock_hz: float) -> float:
        """Return the fastest clock of the table that is not over `clock_hz`, else the slowest."""
        under = [step for step in self.steps_hz if step <= clock_hz * (1 + SAME_SHARE)]
        return max(under, default=min(self.steps_hz, default=clock_hz))

    def in_force_hz(self) -> float | None:
        """Return the lowest cap of all; None where it cannot be read."""
        count = optional_number(self.path)
        return None if count is None else count * self.unit_hz

    def clock_hz(self) -> float | None:
        """Return the clock that runs; devfreq remembers the NPU's, nothing is powered up."""
        count = optional_number(self.folder / self.current)
        return None if count is None else count * self.unit_hz

    def probe(self) -> Trouble | None:
        """Return why it cannot be written, without writing it."""
        try:
            probe_write(self.path)
        except OSError as error:
            return _trouble(self, error)
        return None

    def write(self, clock_hz: float) -> Trouble | None:
        """Write a cap and read it back; None when at most `clock_hz` is in force."""
        try:
            write_number(self.path, round(clock_hz / self.unit_hz))
        except OSError as error:
            return _trouble(self, error)
        in_force_hz = self.in_force_hz()
        if in_force_hz is None:
            return Trouble("ignored", f"{self.name}: {self.file} cannot be read back")
        if is_over(in_force_hz, clock_hz):
            why = f"{self.name}: {mhz(clock_hz)} written, {mhz(in_force_hz)} read back"
            return Trouble("ignored", why)
        return None


def is_over(clock_hz: float, cap_hz: float) -> bool:
    """Return whether a clock is above a cap, rounding apart."""
    return clock_hz > cap_hz * (1 + SAME_SHARE)


def mhz(clock_hz: float) -> str:
    """Return a clock for a sentence."""
    return f"{clock_hz / 1e6:.0f} MHz"


def _trouble(cap: Cap, error: OSError) -> Trouble:
    fault = _BY_ERRNO.get(error.errno or 0, "refused")
    hints: dict[KnobFault, str] = {
        "denied": "; a rule of udev or tmpfiles must give it to edged's group",
        "read_only": "; ReadWritePaths= of the unit must name the real path below /sys/devices",
    }
    return Trouble(fault, f"{cap.name}/{cap.file}: {error.strerror}{hints.get(fault, '')}")


def find_caps(root: Path) -> tuple[Cap, ...]:
    """Return the caps of this board: none, one or, for the big cores, several of each domain."""
    devfreq: tuple[tuple[Domain, Path | None], ...] = (
        ("npu", npu_devfreq(root)),
        ("ddr", ddr_devfreq(root)),
    )
    found = [_devfreq(domain, folder) for domain, folder in devfreq if folder is not None]
    return (*found, *(_policy(folder) for folder in big_policies(root)))


def _devfreq(domain: Domain, folder: Path) -> Cap:
    steps = _steps(folder / "available_frequencies", 1.0)
    return Cap(domain, folder, "max_freq", "cur_freq", 1.0, steps)


def _policy(folder: Path) -> Cap:
    steps = _steps(folder / "scaling_available_frequencies", 1e3)
    return Cap("cpu", folder, "scaling_max_freq", "scaling_cur_freq", 1e3, steps)


def _steps(path: Path, unit_hz: float) -> tuple[float, ...]:
    words = (optional_text(path) or "").split()
    return tuple(sorted(float(word) * unit_hz for word in words if word.isdecimal()))


MISSING = {
    "npu": "no devfreq node of an NPU: this kernel does not offer its clock",
    "ddr": "no devfreq node dmc: the boot firmware does not support it, or the kernel",
    "cpu": "no cpufreq policy",
}
