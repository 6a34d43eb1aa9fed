"""Is there an NPU whose driver RKLLM can use, and may this process open it?

In:  sysfs and /dev; nothing is opened, so the NPU stays asleep.     Out: a sentence, or None.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

DRM, DEVICES = Path("/sys/class/drm"), Path("/dev/dri")
ACCEL = Path("/dev/accel")


def _may_open(node: Path) -> bool:
    return os.access(node, os.R_OK | os.W_OK)


def denied(
    drm: Path = DRM, devices: Path = DEVICES, may_open: Callable[[Path], bool] = _may_open
) -> str | None:
    """Return why the NPU may not be opened; None when it may, or when there is none."""
    nodes = [devices / name for name in npu_names(drm)]
    closed = [node for node in nodes if node.exists() and not may_open(node)]
    if not closed:
        return None
    return (
        f"{closed[0]}: no permission to open the NPU; add edged's user to the group that owns it, "
        "usually `render`"
    )


def missing(drm: Path = DRM, accel: Path = ACCEL) -> str | None:
    """Return what is wrong where the vendor's driver has no node; None where it has one."""
    if npu_names(drm):
        return None
    if accel.exists():
        return (
            "the kernel drives the NPU with `rocket`, which RKLLM cannot use; boot the vendor's "
            "kernel with the RKNPU driver"
        )
    return "the kernel has no RKNPU driver; boot the kernel of the board's vendor"


def npu_names(drm: Path) -> list[str]:
    """Return the render nodes of the NPU; their numbers are not stable over boots.

    Source: rknpu 0.9.8: the platform driver is called RKNPU.
    """
    drivers = {node.name: node / "device" / "driver" for node in drm.glob("renderD*")}
    return sorted(
        name
        for name, driver in drivers.items()
        if driver.exists() and driver.resolve().name.upper() == "RKNPU"
    )
