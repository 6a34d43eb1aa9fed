"""What a Rockchip SoC draws and how fast it is at each clock: the nominal constants.

In:  nothing.     Out: `RK3588`, `RK3576`, and `operating_points`, the table behind the forecast's
prior and behind the virtual board.
Nothing here was measured on a board: OPP tables are the kernel's, watts are coefficients times
f V^2, busy shares are assumptions. `docs/power.md` lists each with its range.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

GB = 1e9
Domain = Literal["npu", "cpu", "ddr"]
DOMAINS: tuple[Domain, ...] = ("npu", "cpu", "ddr")


@dataclass(frozen=True, slots=True)
class Opp:
    """One operating point of one clock domain."""

    clock_hz: float
    supply_v: float

    @property
    def activity(self) -> float:
        """F V^2: dynamic power in units of the domain's capacitance."""
        return self.clock_hz * self.supply_v**2


@dataclass(frozen=True, slots=True)
class Split:
    """A figure of each phase."""

    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Shares of a step's time that scale with each clock; they add up to 1."""

    ddr: float
    cpu: float
    npu: float


@dataclass(frozen=True, slots=True)
class Soc:
    """Constants of one SoC with one model resident.

    Attributes:
        npu, cpu, ddr: operating points, slowest first; `cpu` are the four big cores.
        idle_w: board input with nothing to do, NPU off, DDR at its lowest clock.
        npu_top_w, cpu_top_w: dynamic watts of the domain at its top clock, all of it busy.
        npu_busy, cpu_busy: how much of it is busy in each phase.
        npu_on_w: NPU powered without a job; ends `npu_tail_s` after the last one.
        ddr_base_w: top DDR clock above the lowest; `ddr_traffic_j_gb`: joules per GB moved.
        ddr_prefill_gb_s, ddr_decode_gb_s: traffic at full clocks.
        rail_efficiency: of the regulators between board input and SoC.
        decode_s: a decode step of one sequence at full clocks, s.
        sequence_share: what each further sequence adds to it, as a share.
        prefill_fixed_s, prefill_token_s: a chunk of n tokens takes fixed + n x token, full clocks.
        prefill_stretch, decode_stretch: what its time depends on.
        spin_s: worker threads spin so long after a step before they sleep.
        ddr_tail_s: the DDR governor keeps the clock so long after the last traffic.
    """

    name: str
    npu: tuple[Opp, ...]
    cpu: tuple[Opp, ...]
    ddr: tuple[Opp, ...]
    npu_top_w: float
    cpu_top_w: float
    ddr_decode_gb_s: float
    decode_s: float
    sequence_share: float
    prefill_fixed_s: float
    prefill_token_s: float
    idle_w: float = 1.4
    npu_busy: Split = Split(0.70, 0.35)
    cpu_busy: Split = Split(0.40, 0.45)
    npu_on_w: float = 0.15
    npu_tail_s: float = 3.0
    ddr_base_w: float = 0.6
    ddr_traffic_j_gb: float = 0.02
    ddr_prefill_gb_s: float = 2.0
    rail_efficiency: float = 0.95
    prefill_stretch: Stretch = Stretch(ddr=0.15, cpu=0.25, npu=0.60)
    decode_stretch: Stretch = Stretch(ddr=0.75, cpu=0.15, npu=0.10)
    spin_s: float = 0.02
    ddr_tail_s: float = 0.1


def _opps(*pairs: tuple[float, float]) -> tuple[Opp, ...]:
    return tuple(Opp(clock_mhz * 1e6, supply_mv / 1e3) for clock_mhz, supply_mv in pairs)


# Source: rk3588s.dtsi of the vendor kernel 6.1, default bin; the DDR clock with LPDDR4X. The NPU's
# watts: the coefficient of RK3576 gives 1.87 W at 950 MHz, the same class of NPU. Speeds: RKLLM
# 1.3.0's table (26 to 29 GB/s effective; 0.52 s for 256 tokens), with 1.1 GB of w8a8 weights.
RK3588 = Soc(
    name="rk3588",
    npu=_opps(
        *((clock, 700) for clock in (300, 400, 500, 600, 700)), (800, 750), (900, 800), (1000, 850)
    ),
    cpu=_opps(
        *((clock, 675) for clock in (408, 600, 816, 1008, 1200)),
        (1416, 725), (1608, 762.5), (1800, 850), (2016, 925), (2208, 987.5), (2400, 1000),
    ),
    ddr=_opps((528, 675), (1068, 725), (1560, 800), (2112, 875)),
    npu_top_w=2.0,
    cpu_top_w=2.88,
    ddr_decode_gb_s=27.0,
    decode_s=1.1 / 27.0,
    sequence_share=0.13,
    prefill_fixed_s=0.06,
    prefill_token_s=0.0018,
)  # fmt: skip

# Source: rk3576.dtsi of the same kernel, default bin; coefficients 2570 (NPU) and 320 per A72.
# Speeds: RKLLM 1.3.0's table (12 to 14 GB/s; 1.17 s for 256 tokens), 0.6 GB of w4a16 weights.
RK3576 = Soc(
    name="rk3576",
    npu=_opps(
        *((clock, 725) for clock in (300, 400, 500, 600, 700)), (800, 800), (900, 850), (950, 875)
    ),
    cpu=_opps(
        *((clock, 712.5) for clock in (408, 600, 816, 1008, 1200, 1416)),
        (1608, 725), (1800, 825), (2016, 887.5), (2208, 950),
    ),
    ddr=_opps((528, 750), (1068, 750), (1560, 750), (2736, 825)),
    npu_top_w=1.87,
    cpu_top_w=2.55,
    ddr_decode_gb_s=13.0,
    decode_s=0.6 / 13.0,
    sequence_share=0.14,
    prefill_fixed_s=0.16,
    prefill_token_s=0.00395,
)  # fmt: skip


def on_cpu(soc: Soc) -> Soc:
    """Return the same board while llama.cpp computes on its four big cores, the NPU off.

    All four are busy in both phases; of a decode step half the time waits for the memory. Both are
    assumptions like the others, and learned away where there is a meter.
    """
    return replace(
        soc,
        name=f"{soc.name}-cpu",
        npu_busy=Split(0.0, 0.0),
        npu_on_w=0.0,
        cpu_busy=Split(1.0, 1.0),
        prefill_stretch=Stretch(ddr=0.15, cpu=0.85, npu=0.0),
        decode_stretch=Stretch(ddr=0.5, cpu=0.5, npu=0.0),
    )


SOCS = {soc.name: soc for soc in (RK3588, RK3576)}
KNOBS = frozenset({"npu", "cpu", "ddr"})


@dataclass(frozen=True, slots=True)
class Clocks:
    """The caps that one operating point sets, Hz."""

    npu_hz: float
    cpu_hz: float
    ddr_hz: float

    @property
    def by_domain(self) -> dict[Domain, float]:
        """Return the same by the domain's name."""
        return {"npu": self.npu_hz, "cpu": self.cpu_hz, "ddr": self.ddr_hz}


@dataclass(frozen=True, slots=True)
class Point:
    """What one setting of the clocks means; watts are above idle, at the board's input.

    Attributes:
        prefill_w, decode_w: while such a step runs.
        spin_w: in a pause, while worker threads still spin.
        ddr_w: what the DDR clock adds after that, until its governor lowers it.
        on_w: in a pause after both: the NPU is powered.
        prefill_slow, decode_slow: time of a step as a multiple of the one at full clocks.
    """

    clocks: Clocks
    prefill_w: float
    decode_w: float
    spin_w: float
    ddr_w: float
    on_w: float
    prefill_slow: float
    decode_slow: float

    def paused_w(self, pause_s: float, soc: Soc) -> float:
        """Return the mean watts above idle of a pause of so many seconds."""
        spin_s = min(pause_s, soc.spin_s)
        tail_s = min(pause_s - spin_s, soc.ddr_tail_s)
        return self.on_w + ((self.spin_w - self.on_w) * spin_s + self.ddr_w * tail_s) / pause_s


def operating_points(soc: Soc, knobs: frozenset[str] = KNOBS) -> tuple[Point, ...]:
    """Return every setting of the clocks that `knobs` can reach; the last one is full speed.

    A domain without a knob stays at its top clock.
    """
    return tuple(_point(soc, *setting) for setting in _settings(soc, knobs))


def _settings(soc: Soc, knobs: frozenset[str]) -> Iterator[tuple[Opp, Opp, Opp]]:
    domains = {"npu": soc.npu, "cpu": soc.cpu, "ddr": soc.ddr}
    reachable = [opps if name in knobs else opps[-1:] for name, opps in domains.items()]
    npu, cpu, ddr = reachable
    yield from itertools.product(npu, cpu, ddr)


def _point(soc: Soc, npu: Opp, cpu: Opp, ddr: Opp) -> Point:
    prefill_slow = _slow(soc, soc.prefill_stretch, npu, cpu, ddr)
    decode_slow = _slow(soc, soc.decode_stretch, npu, cpu, ddr)
    npu_w = soc.npu_top_w * npu.activity / soc.npu[-1].activity
    cpu_w = soc.cpu_top_w * cpu.activity / soc.cpu[-1].activity
    lowest, top = soc.ddr[0].activity, soc.ddr[-1].activity
    ddr_w = soc.ddr_base_w * (ddr.activity - lowest) / (top - lowest)
    base_w = ddr_w + soc.npu_on_w
    prefill_j_s = soc.ddr_traffic_j_gb * soc.ddr_prefill_gb_s / prefill_slow
    decode_j_s = soc.ddr_traffic_j_gb * soc.ddr_decode_gb_s / decode_slow
    busy, spun = soc.npu_busy, soc.cpu_busy
    return Point(
        clocks=Clocks(npu.clock_hz, cpu.clock_hz, ddr.clock_hz),
        prefill_w=(base_w + npu_w * busy.prefill + cpu_w * spun.prefill + prefill_j_s)
        / soc.rail_efficiency,
        decode_w=(base_w + npu_w * busy.decode + cpu_w * spun.decode + decode_j_s)
        / soc.rail_efficiency,
        spin_w=(base_w + cpu_w * spun.decode) / soc.rail_efficiency,
        ddr_w=ddr_w / soc.rail_efficiency,
        on_w=soc.npu_on_w / soc.rail_efficiency,
        prefill_slow=prefill_slow,
        decode_slow=decode_slow,
    )


def _slow(soc: Soc, stretch: Stretch, npu: Opp, cpu: Opp, ddr: Opp) -> float:
    return (
        stretch.npu * soc.npu[-1].clock_hz / npu.clock_hz
        + stretch.cpu * soc.cpu[-1].clock_hz / cpu.clock_hz
        + stretch.ddr * soc.ddr[-1].clock_hz / ddr.clock_hz
    )
