"""The referee: a process that makes watts of the engine's CPU seconds, and keeps the truth.

In:  the kernel's CPU clock of the engine, whose pid the engine's lock file holds; a seed.
Out: a folder laid out like /sys with a power chip in it, for edged; a file with the joules of each
moment, for the judge. It ends when its standard input does.
`python -m edged.bench.host.referee --help` names its arguments. edged sees the folder alone.
"""

from __future__ import annotations

import argparse
import select
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edged.bench.host.plant import Chip, Plant, drawn

TICK_S = 0.02
CHIP_ID = "ina226@1-0040"
DEVICE = Path("devices/platform/referee.i2c/i2c-1/1-0040")
# The driver's own interval at its start. Source: ina2xx.c, INA226_CONFIG_DEFAULT: 16 averages.
DRIVER_MS = 35


def lay_out(root: Path) -> Path:
    """Make the folder that stands for /sys: one chip, no clocks, no device tree; return the chip's.

    edged takes such a machine for one that nobody knows, which it is.
    """
    chip = root / DEVICE / "hwmon/hwmon0"
    chip.mkdir(parents=True)
    (root / "class/hwmon").mkdir(parents=True)
    (root / "class/hwmon/hwmon0").symlink_to(Path("../..") / DEVICE / "hwmon/hwmon0")
    (chip / "device").symlink_to("../../../1-0040")
    texts = {"name": "ina226", "update_interval": str(DRIVER_MS), "shunt_resistor": "10000"}
    for name, text in texts.items():
        (chip / name).write_text(f"{text}\n")
    return chip


class CpuClock:
    """CPU seconds of all threads of whichever process holds a lock file.

    Source: clock_getcpuclockid(3) and the kernel's posix-timers.h: ~pid << 3, CPUCLOCK_SCHED 2.
    /proc/PID/stat counts the same in steps of 10 ms, which is half a tick.
    """

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._pid: int | None = None
        self._last_s = 0.0

    def passed_s(self) -> float:
        """Return the CPU seconds since the last call; of a process that is new, since now."""
        if self._pid is not None:
            try:
                now_s = clocked_s(self._pid)
            except OSError:
                self._pid = None
            else:
                passed_s, self._last_s = now_s - self._last_s, now_s
                return passed_s
        self._find()
        return 0.0

    def _find(self) -> None:
        try:
            pid = int(self._lock.read_text())
            self._last_s = clocked_s(pid)
        except (OSError, ValueError):
            return
        self._pid = pid


def clocked_s(pid: int) -> float:
    """Return the CPU seconds of a process so far, to the nanosecond.

    Raises:
        OSError: there is no such process.
    """
    return time.clock_gettime((~pid << 3) | 2)


@dataclass(slots=True)
class Served:
    """The folder that edged reads, and the chip in it."""

    folder: Path
    chip: Chip

    def take(self, now_s: float, joules: float) -> None:
        """Show what the chip says now, with the interval that edged asked for."""
        try:
            self.chip.averaging_s = float((self.folder / "update_interval").read_text()) / 1e3
        except ValueError:
            return  # edged writes it just now
        self.chip.take(now_s, joules)
        put(self.folder / "power1_input", round(self.chip.shown_w * 1e6))


def put(file: Path, number: int) -> None:
    """Give a file its text at once, so that no reader sees half of it."""
    beside = file.with_name(f".{file.name}")
    beside.write_text(f"{number}\n")
    beside.replace(file)


def main(arguments: list[str]) -> None:
    """Referee until standard input ends."""
    given = _given(arguments)
    now_s = time.monotonic()
    plant = Plant(drawn(given.seed), now_s)
    served = None
    if given.tree is not None:
        chip = Chip(drawn(given.seed), given.seed, DRIVER_MS / 1e3, now_s)
        served = Served(lay_out(given.tree), chip)
        served.take(now_s, 0.0)
    clock = CpuClock(given.lock)
    with given.truth.open("w", encoding="utf-8", buffering=1) as truth:
        print("ready", flush=True)
        _run(clock, given.full_cores, plant, served, truth)


def _run(
    clock: CpuClock, full_cores: float, plant: Plant, served: Served | None, truth: TextIO
) -> None:
    last_s = time.monotonic()
    clock.passed_s()
    cpu_total_s = 0.0
    while not select.select([sys.stdin], [], [], TICK_S)[0]:
        used_s, now_s = clock.passed_s(), time.monotonic()
        load = used_s / (now_s - last_s) / full_cores
        last_s, cpu_total_s = now_s, cpu_total_s + used_s
        plant.advance(now_s, load)
        truth.write(f"{now_s:.4f} {cpu_total_s:.4f} {plant.joules:.4f}\n")
        if served is not None:
            served.take(now_s, plant.joules)


def _given(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edged.bench.host.referee")
    parser.add_argument("--lock", type=Path, required=True, help="the engine's lock file")
    parser.add_argument("--truth", type=Path, required=True, help="written: s, CPU s, J")
    parser.add_argument("--full-cores", type=float, required=True, help="cores of full load")
    parser.add_argument("--seed", type=int, required=True, help="of the plant")
    parser.add_argument("--tree", type=Path, help="made: the plant's chip as in /sys")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
