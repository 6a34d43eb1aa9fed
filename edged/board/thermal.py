"""How hot the board is.

In:  the kernel's thermal zones.     Out: degrees Celsius.
Zones differ between kernels in number and name, so the hottest one speaks for the board.
Source: Documentation/driver-api/thermal/sysfs-api.rst: temp is in thousandths of a degree.
"""

from __future__ import annotations

from pathlib import Path

ZONES = Path("/sys/class/thermal")


def hottest_c(zones: Path = ZONES) -> float | None:
    """Return the highest temperature, rounded to whole degrees; None where no zone tells."""
    found = []
    for path in zones.glob("thermal_zone*/temp"):
        try:
            found.append(int(path.read_text()) / 1000)
        except (OSError, ValueError):
            continue  # a zone whose sensor sleeps
    return float(round(max(found))) if found else None
