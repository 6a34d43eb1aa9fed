"""Which version the NPU's kernel driver has.

In:  the NPU's render node, or sysfs where it may not be opened.     Out: `Version` or None, a
finding. DRM_IOCTL_VERSION is answered from constants: the NPU stays asleep, and an engine that uses
it is not disturbed. None of the driver's own ioctls is called, since each of those powers it up.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

from edged.board.sysfs import optional_text
from edged.doctor.board import VENDOR_KERNEL
from edged.doctor.finding import Finding, trouble, warning, well
from edged.doctor.root import Root
from edged.engine.rkllm.evidence import DRIVER_MIN
from edged.engine.rkllm.npu_node import npu_names

Version = tuple[int, ...]
# Source: include/uapi/drm/drm.h, struct drm_version on 64-bit machines: three ints, then length and
# address of name, date and description; DRM_IOCTL_VERSION is _IOWR('d', 0, 64 bytes).
DRM_IOCTL_VERSION = 0xC040_6400
DRM_VERSION = struct.Struct("@iii4xQQQQQQ")
NAME_BYTES = 32
DRIVER_NAME = b"rknpu"
Ioctl = Callable[[int, int, bytearray], int]


def look(root: Root) -> Version | None:
    """Return the driver's version; None where nothing tells it."""
    for name in npu_names(root.sys / "class/drm"):
        version = drm_version(root.at(f"/dev/dri/{name}"))
        if version is not None:
            return version
    numbers = re.findall(r"\d+", optional_text(root.sys / "module/rknpu/version") or "")
    return tuple(int(number) for number in numbers[:3]) or None


def drm_version(node: Path, ioctl: Ioctl = fcntl.ioctl) -> Version | None:
    """Return what the driver behind a DRM node says; None where it is not RKNPU or not to open."""
    name = ctypes.create_string_buffer(NAME_BYTES)
    request = bytearray(DRM_VERSION.pack(0, 0, 0, NAME_BYTES, ctypes.addressof(name), 0, 0, 0, 0))
    try:
        opened = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        ioctl(opened, DRM_IOCTL_VERSION, request)
    except OSError:
        return None
    finally:
        os.close(opened)
    major, minor, patch, *_ = DRM_VERSION.unpack(request)
    return (major, minor, patch) if name.value == DRIVER_NAME else None


def judge(version: Version | None, *, needs_npu: bool) -> Finding:
    """Return whether the driver is new enough for RKLLM."""
    needed = ".".join(map(str, DRIVER_MIN))
    if version is None:
        return warning(
            "driver",
            f"the RKNPU driver's version cannot be read; RKLLM needs {needed}",
            "run `sudo edged doctor`, or `cat /sys/module/rknpu/version`",
        )
    told = ".".join(map(str, version))
    if version < DRIVER_MIN:
        says = f"RKNPU driver {told} is too old: RKLLM needs {needed}"
        return trouble("driver", says, VENDOR_KERNEL, is_needed=needs_npu)
    return well("driver", f"RKNPU driver {told}")
