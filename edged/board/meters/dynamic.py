"""C V^2 f times busy: what the clocks and the work of a board say about its watts.

In:  clocks, volts, busy shares.     Out: watts at the board's input.
Pure. The constants are of the SoC's device tree or of the configuration, not of this board: a
calibration corrects offset and scale, and says how far off the rest is.
Source: Documentation/driver-api/thermal/power_allocator.rst, dynamic power.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from edged.board.soc import Opp, Soc


@dataclass(frozen=True, slots=True)
class Domain:
    """One clock domain.

    Attributes:
        opps: its operating points, slowest first; one alone where only the top clock is known.
        top_w: dynamic watts at the fastest of them, all of it busy.
    """

    opps: tuple[Opp, ...]
    top_w: float

    def watts(self, clock_hz: float, supply_v: float | None, busy: float) -> float:
        """Return the dynamic watts; without volts they are those of the table."""
        volts = self.usual_v(clock_hz) if supply_v is None else supply_v
        return self.top_w * busy * Opp(clock_hz, volts).activity / self.opps[-1].activity

    def usual_v(self, clock_hz: float) -> float:
        """Return the volts of the table, between its points in a straight line.

        With one point: volts rise with the root of the clock, which stands between the lower half
        of a range, where they are flat, and the upper, where they follow it.
        """
        top = self.opps[-1]
        if len(self.opps) == 1:
            return top.supply_v * math.sqrt(clock_hz / top.clock_hz)
        if clock_hz <= self.opps[0].clock_hz:
            return self.opps[0].supply_v
        for low, high in itertools.pairwise(self.opps):
            if clock_hz <= high.clock_hz:
                share = (clock_hz - low.clock_hz) / (high.clock_hz - low.clock_hz)
                return low.supply_v + share * (high.supply_v - low.supply_v)
        return top.supply_v


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The constants of one board.

    Attributes:
        idle_w: at the board's input, nothing to do, DDR at its lowest clock.
        core: one fast core.
        npu: None where the SoC is not known.
        ddr: what its clock adds to idle, whatever runs; None where it is not known.
        npu_on_w: the NPU powered.
        traffic_w: reading the model from memory, while decode steps run at the top DDR clock.
        rail_efficiency: of the regulators between board input and SoC.
        error_share: the band without calibration.
    """

    idle_w: float
    core: Domain
    npu: Domain | None = None
    ddr: Domain | None = None
    npu_on_w: float = 0.0
    traffic_w: float = 0.0
    rail_efficiency: float = 1.0
    error_share: float = 0.4


@dataclass(frozen=True, slots=True)
class State:
    """What a board does at the moment; None where the kernel does not tell.

    Attributes:
        busy_cores, npu_busy: cores' worth of CPU time; share of the time that the NPU computes.
        decoding: share of the time that decode steps run.
    """

    busy_cores: float
    npu_busy: float
    cpu_hz: float | None = None
    cpu_v: float | None = None
    npu_hz: float | None = None
    npu_v: float | None = None
    ddr_hz: float | None = None
    decoding: float = 0.0


def board_w(of: Coefficients, state: State) -> float:
    """Return the watts at the board's input; a clock that is not told is taken as the top one."""
    rails_w = of.core.watts(
        state.cpu_hz or of.core.opps[-1].clock_hz, state.cpu_v, state.busy_cores
    )
    if of.npu is not None and state.npu_busy > 0:
        npu_hz = state.npu_hz or of.npu.opps[-1].clock_hz
        rails_w += of.npu_on_w + of.npu.watts(npu_hz, state.npu_v, state.npu_busy)
    if of.ddr is not None:
        rails_w += _ddr_w(of.ddr, state.ddr_hz)
        top_hz = of.ddr.opps[-1].clock_hz
        rails_w += of.traffic_w * state.decoding * (state.ddr_hz or top_hz) / top_hz
    return of.idle_w + rails_w / of.rail_efficiency


def _ddr_w(ddr: Domain, clock_hz: float | None) -> float:
    """Return what the DDR clock adds above its lowest one; idle holds that already."""
    lowest, top = ddr.opps[0], ddr.opps[-1]
    at_hz = top.clock_hz if clock_hz is None else clock_hz
    activity = Opp(at_hz, ddr.usual_v(at_hz)).activity
    share = (activity - lowest.activity) / (top.activity - lowest.activity)
    return ddr.top_w * min(1.0, max(0.0, share))


def of_soc(soc: Soc) -> Coefficients:
    """Return the nominal constants of a SoC; `Soc.cpu_top_w` is of four cores."""
    return Coefficients(
        idle_w=soc.idle_w,
        core=Domain(soc.cpu, soc.cpu_top_w / 4),
        npu=Domain(soc.npu, soc.npu_top_w),
        ddr=Domain(soc.ddr, soc.ddr_base_w),
        npu_on_w=soc.npu_on_w,
        traffic_w=soc.ddr_traffic_j_gb * soc.ddr_decode_gb_s,
        rail_efficiency=soc.rail_efficiency,
    )


def of_cores(idle_w: float, core_w: float, core_hz: float, error_share: float) -> Coefficients:
    """Return the constants of a machine that only the configuration knows."""
    core = Domain((Opp(core_hz, 1.0),), core_w)
    return Coefficients(idle_w, core, error_share=error_share)
