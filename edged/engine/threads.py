"""How many compute threads: the fastest cores this process may use, at most four.

In:  sysfs, the CPU affinity.     Out: a number. Mixing fast and slow cores makes every step wait
for the slowest; more than four share one memory bus.
"""

from __future__ import annotations

import os
from pathlib import Path

THREADS_MAX = 4
SYS_CPU = Path("/sys/devices/system/cpu")


def compute_threads(cores: set[int] | None = None, sys_cpu: Path = SYS_CPU) -> int:
    """Return the number of compute threads; `cores` to choose from are by default all allowed."""
    return max(1, min(THREADS_MAX, len(fast_cores(cores, sys_cpu))))


def fast_cores(cores: set[int] | None = None, sys_cpu: Path = SYS_CPU) -> list[int]:
    """Return the fastest cores, in ascending order.

    Source: Linux, Documentation/admin-guide/pm/cpufreq.rst: cpuinfo_max_freq in kHz.
    """
    allowed = os.sched_getaffinity(0) if cores is None else cores
    clocks_khz = {
        core: _clock_khz(sys_cpu / f"cpu{core}/cpufreq/cpuinfo_max_freq") for core in allowed
    }
    fastest_khz = max(clocks_khz.values(), default=0)
    return sorted(core for core, clock_khz in clocks_khz.items() if clock_khz >= 0.9 * fastest_khz)


def _clock_khz(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0  # a virtual machine has no cpufreq: all cores count the same
