"""How many compute threads: the fastest cores this process may use, at most four.

In:  sysfs, the CPU affinity.     Out: a number. Mixing fast and slow cores makes every step wait
for the slowest; more than four share one memory bus.
"""

from __future__ import annotations

import os
from pathlib import Path

THREADS_MAX = 4
# One core of a kind may be allowed a little less than its neighbours.
AS_FAST = 0.9
SYS_CPU = Path("/sys/devices/system/cpu")


def compute_threads(cores: set[int] | None = None, sys_cpu: Path = SYS_CPU) -> int:
    """Return the number of compute threads; `cores` to choose from are by default all allowed."""
    return max(1, min(THREADS_MAX, len(fast_cores(cores, sys_cpu))))


def fast_cores(cores: set[int] | None = None, sys_cpu: Path = SYS_CPU) -> list[int]:
    """Return the fastest cores, in ascending order.

    The kernel's capacity decides; clocks alone do not tell a Cortex-A53 at 2.2 GHz from a
    Cortex-A72. Without capacities (not arm64) the highest clock decides.

    Source: Linux, Documentation/ABI/testing/sysfs-devices-system-cpu: cpu_capacity, 1024 is the
    best; Documentation/admin-guide/pm/cpufreq.rst: cpuinfo_max_freq in kHz.
    """
    allowed = sorted(os.sched_getaffinity(0) if cores is None else cores)
    speeds = [_number(sys_cpu / f"cpu{core}/cpu_capacity") for core in allowed]
    if 0 in speeds:
        speeds = [_number(sys_cpu / f"cpu{core}/cpufreq/cpuinfo_max_freq") for core in allowed]
    best = max(speeds, default=0)
    return [core for core, speed in zip(allowed, speeds, strict=True) if speed >= AS_FAST * best]


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0  # a virtual machine has no cpufreq: all cores count the same
