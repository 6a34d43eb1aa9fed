"""Which operating points the clock tables of this board can reach.

In:  the points of its SoC, the tables of its caps.     Out: points with clocks of those tables.
Pure. Boards differ from their SoC: an industrial part ends at a lower clock, a kernel leaves steps
out. A point whose clock is not offered would run at another one than it is forecast for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edged.board.knobs.cap import is_over
from edged.board.soc import DOMAINS, Clocks, Domain, Point


def reachable(
    points: Sequence[Point], tables: Mapping[Domain, tuple[float, ...]]
) -> tuple[Point, ...]:
    """Return the points that the tables offer, the fastest last.

    Args:
        points: every setting of the SoC, the fastest last.
        tables: clocks in Hz by domain, slowest first; a domain without one stays as it is.
    """
    offered = {
        domain: _offered(sorted({point.clocks.by_domain[domain] for point in points}), table)
        for domain, table in tables.items()
        if table
    }
    found = [(point, _clocks(point.clocks, offered)) for point in points]
    return tuple(replace(point, clocks=clocks) for point, clocks in found if clocks is not None)


def _clocks(clocks: Clocks, offered: Mapping[Domain, Mapping[float, float]]) -> Clocks | None:
    """Return the board's own clocks for a point; None where it lacks one."""
    asked = clocks.by_domain
    own = [offered.get(one, {asked[one]: asked[one]}).get(asked[one]) for one in DOMAINS]
    npu_hz, cpu_hz, ddr_hz = own
    if npu_hz is None or cpu_hz is None or ddr_hz is None:
        return None
    return Clocks(npu_hz, cpu_hz, ddr_hz)


def _offered(nominal: Sequence[float], table: Sequence[float]) -> dict[float, float]:
    """Return the board's clock for each nominal one that it offers.

    Its fastest clock always has one, so that full speed is a point: the next faster nominal
    clock, which promises too many watts rather than too few.
    """
    found = {clock_hz: step for clock_hz in nominal for step in table if _is_same(clock_hz, step)}
    top_hz = table[-1]
    if top_hz not in found.values():
        stand_in_hz = next((one for one in nominal if one > top_hz), nominal[-1])
        found.setdefault(stand_in_hz, top_hz)
    return found


def _is_same(clock_hz: float, step_hz: float) -> bool:
    return not (is_over(clock_hz, step_hz) or is_over(step_hz, clock_hz))
