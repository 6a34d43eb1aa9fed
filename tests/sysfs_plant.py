"""A virtual board behind a golden tree: the daemon's own meter and knobs see only files.

In:  a tree with a chip, a virtual board.     Out: the chip's watts or joules of the board; clocks
that follow the caps written into the tree. It turns every 20 ms of virtual time.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from pathlib import Path

from edged.board.soc import KNOBS, RK3588, Clocks, on_cpu
from edged.board.virtual.live import LiveBoard
from edged.board.virtual.plant import drawn
from edged.errors import MeterLost
from tests.golden_tree import hwmon
from tests.virtual_time import VirtualLoop

TURN_S = 0.02
CHIP, COUNTER = "ina226", "ina228"
# llama.cpp computes on the big cores: the NPU's clock is nobody's business.
DOMAINS = KNOBS - {"npu"}
POLICIES = tuple(f"devices/system/cpu/cpufreq/policy{number}" for number in (4, 6))
DDR = "class/devfreq/dmc"
CAPS = (*(f"{policy}/scaling_max_freq" for policy in POLICIES), f"{DDR}/max_freq")


@dataclass(slots=True)
class SysfsPlant:
    """What the kernel and the board do behind the files.

    Attributes:
        chip: in the supply; the counter tells joules.
        says_w: what the meter says in place of the truth; None: the truth.
        gain: what it says of the truth: another shunt than its driver's.
        is_metering: whether the meter's file is written at all.
        heat_hz: the kernel's own cap of the big cores.
        obeys: whether clocks follow their caps.
        is_still: nothing is read or written, so that a test hears the daemon alone.
    """

    root: Path
    live: LiveBoard
    chip: str = CHIP
    says_w: float | None = None
    gain: float = 1.0
    is_metering: bool = True
    heat_hz: float = math.inf
    obeys: bool = True
    is_still: bool = False
    _shown: dict[Path, int] = field(default_factory=dict)
    _rails: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find the rails of the big cores; a tree's stay where they are."""
        nodes = (self.root / "class/regulator").iterdir()
        big = [node for node in nodes if (node / "name").read_text().startswith("vdd_cpu_big")]
        self._rails.extend(big)

    async def run(self) -> None:
        """Turn until cancelled."""
        while True:
            if not self.is_still:
                self._move_clocks()
                self._meter()
            await asyncio.sleep(TURN_S)

    def caps(self) -> tuple[int, ...]:
        """Return what the caps are now, in the kernel's own counts."""
        return tuple(int((self.root / cap).read_text()) for cap in CAPS)

    def _meter(self) -> None:
        try:
            true_w = self.gain * self.live.read().watts_w
            watts_w = true_w if self.says_w is None else self.says_w
            folder = hwmon(self.root, self.chip)
        except (MeterLost, StopIteration):
            return  # before its first conversion; unplugged
        if self.chip == COUNTER:
            put(folder / "energy1_input", round(self.live.board.joules[-1] * 1e6))
        elif self.is_metering:
            put(folder / "power1_input", round(watts_w * 1e6))

    def _move_clocks(self) -> None:
        top = self.live.board.points[-1].clocks
        has_ddr = (self.root / DDR).exists()
        cpu_hz, ddr_hz = top.cpu_hz, top.ddr_hz
        if self.obeys:
            try:
                cpu_hz = min(self._cpu_hz(policy) for policy in POLICIES)
                ddr_hz = float((self.root / DDR / "max_freq").read_text()) if has_ddr else ddr_hz
            except ValueError:
                return  # the daemon writes just now
            self.live.set_clocks(Clocks(top.npu_hz, cpu_hz, ddr_hz))
        self._move_volts(cpu_hz)
        for policy in POLICIES:
            self._show(self.root / policy / "scaling_cur_freq", round(cpu_hz / 1e3))
        if has_ddr:
            lowest_hz = RK3588.ddr[0].clock_hz  # where its governor goes while nothing runs
            shown_hz = ddr_hz if self.live.phase else lowest_hz
            self._show(self.root / DDR / "cur_freq", round(shown_hz))

    def _move_volts(self, cpu_hz: float) -> None:
        """Have the cores' rails follow the clock, as the table of the SoC has it."""
        volts = [opp.supply_v for opp in RK3588.cpu if opp.clock_hz >= cpu_hz] or [1.0]
        for node in self._rails:
            self._show(node / "microvolts", round(volts[0] * 1e6))

    def _show(self, file: Path, count: int) -> None:
        """Write what has changed: the tree is as large as a board's."""
        if self._shown.get(file) != count:
            self._shown[file] = count
            put(file, count)

    def _cpu_hz(self, policy: str) -> float:
        """Return the cap in force; the file shows the kernel's where that is lower."""
        file = self.root / policy / "scaling_max_freq"
        cap_hz = float(file.read_text()) * 1e3
        if cap_hz > self.heat_hz:
            put(file, round(self.heat_hz / 1e3))
        return min(cap_hz, self.heat_hz)


def put(file: Path, count: int) -> None:
    """Give a file its text at once, so that no reader sees half of it."""
    beside = file.with_name(f".{file.name}")
    beside.write_text(f"{count}\n")
    beside.replace(file)


def sysfs_plant(root: Path, loop: VirtualLoop, seed: int = 0) -> SysfsPlant:
    """Return the plant of an RK3588 with the chip that the tree has in its supply."""
    live = LiveBoard(drawn(on_cpu(RK3588), seed), DOMAINS, loop.time, keeps_all=True)
    names = [(node / "name").read_text().strip() for node in (root / "class/hwmon").iterdir()]
    return SysfsPlant(root, live, COUNTER if COUNTER in names else CHIP)
