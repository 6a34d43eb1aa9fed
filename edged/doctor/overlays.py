"""Which overlays of firmware-config are enabled, and whether they are in force.

In:  the boot loader's files, sysfs, /dev.     Out: `Overlays`, findings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edged.board.knobs.cap import find_caps
from edged.board.meters.hwmon import find_chips
from edged.doctor.finding import Finding, warning, well
from edged.doctor.root import Root, text

# Source: firmware-config/README.md: Armbian names overlays in the one, Radxa OS in the other.
FILES = ("/boot/armbianEnv.txt", "/boot/extlinux/extlinux.conf")
# What the overlay `npu-cap` leaves of the table.
CAP_HZ = 700e6
AGAIN = "sudo reboot; if it stays so: sudo tools/install-firmware-config BOARD --dry-run"


@dataclass(frozen=True, slots=True)
class Overlays:
    """What is enabled, without `edged-` in front, and what each would bring.

    Attributes:
        npu_top_hz: the fastest clock of the NPU's table; None without one.
    """

    enabled: tuple[str, ...]
    has_ina226: bool
    has_watchdog: bool
    npu_top_hz: float | None


def look(root: Root) -> Overlays:
    """Return the overlays of this system."""
    boot = "\n".join(text(root.at(file)) for file in FILES)
    lines = re.findall(r"(?m)^\s*(?:user_overlays=|fdtoverlays\s)(.*)$", boot)
    names = re.findall(r"(?<![\w-])edged-([\w-]+)", "\n".join(lines))
    tops = [
        max(cap.steps_hz) for cap in find_caps(root.sys) if cap.domain == "npu" and cap.steps_hz
    ]
    return Overlays(
        enabled=tuple(dict.fromkeys(names)),
        has_ina226=any(chip.name == "ina226" for chip in find_chips(root.sys)),
        has_watchdog=root.at("/dev/watchdog").exists(),
        npu_top_hz=max(tops, default=None),
    )


def judge(overlays: Overlays) -> list[Finding]:
    """Return what is enabled, and a warning for each overlay that does nothing."""
    named = ", ".join(overlays.enabled) or "none"
    found = [well("overlays", f"of firmware-config: {named}")]
    top_hz = overlays.npu_top_hz
    void = {
        "ina226": (not overlays.has_ina226, "no INA226 answers in hwmon"),
        "npu-cap": (top_hz is not None and top_hz > CAP_HZ, "the NPU's table is not cut"),
        "watchdog": (not overlays.has_watchdog, "there is no /dev/watchdog"),
    }
    for name in overlays.enabled:
        is_void, why = void.get(name, (False, ""))
        if is_void:
            found.append(warning("overlays", f"{name} is enabled, and {why}", AGAIN))
    return found
