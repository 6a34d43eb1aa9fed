"""How hot the board is.

In:  the kernel's thermal zones.     Out: degrees Celsius, and whether clocks are capped for it.
Zones differ between kernels in number and name, so the hottest one speaks for the board.
Source: Documentation/driver-api/thermal/sysfs-api.rst: temp is in thousandths of a degree, and a
cooling device is at work while its cur_state is above 0.
"""

from __future__ import annotations

from pathlib import Path

from edged.board.sysfs import entries, optional_number, optional_text

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


def is_throttling(zones: Path = ZONES) -> bool:
    """Return whether the kernel holds a clock down for heat; a fan that turns is none."""
    devices = [one for one in entries(zones) if one.name.startswith("cooling_device")]
    return any(_slows(one) and (optional_number(one / "cur_state") or 0) > 0 for one in devices)


def _slows(device: Path) -> bool:
    kind = optional_text(device / "type") or ""
    return kind.removeprefix("thermal-").startswith(("cpufreq", "devfreq"))
