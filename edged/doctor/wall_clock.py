"""Whether the clock on the wall can be right.

In:  CLOCK_REALTIME, adjtimex(2), when edged was installed.     Out: a finding.
edged's deadlines do not need it; certificates, logs and the time off between two boots do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import edged
from edged.clock import BoardClock, Instant
from edged.doctor.finding import Finding, warning, well

SET_IT = "sudo timedatectl set-ntp true, and check that the board reaches a time server"


def look() -> tuple[Instant, float]:
    """Return what the clocks say, and when this copy of edged was written, Unix time."""
    return BoardClock().instant(), Path(edged.__file__).stat().st_mtime


def judge(now: Instant, installed_s: float) -> Finding:
    """Return whether the clock can be right, and whether anybody keeps it so."""
    told = datetime.fromtimestamp(now.wall_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if now.wall_s < installed_s:
        says = f"it is said to be {told}, which is before edged was installed: TLS can fail"
        return warning("time", says, SET_IT)
    if not now.synchronised:
        says = f"{told}, not synchronised: time off between boots is not counted"
        return warning("time", says, SET_IT)
    return well("time", f"{told}, synchronised")
