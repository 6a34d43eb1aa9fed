"""What a process used so far, as the kernel tells it.

In:  a process id.     Out: wakeups, processor time, memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.bench.system import PROC


@dataclass(frozen=True, slots=True)
class Used:
    """What the threads of a process used.

    Attributes:
        wakeups: times one slept and was woken.
        cpu_s: on a core, user and system.
    """

    wakeups: int
    cpu_s: float


def used(pid: int) -> Used:
    """Return what the threads of a process used so far.

    Source: proc(5): voluntary_ctxt_switches of each task's status; kernel documentation,
    sched-stats: the first number of schedstat is nanoseconds on a core.
    """
    wakeups, cpu_ns = 0, 0
    for task in (PROC / str(pid) / "task").iterdir():
        fields = _fields((task / "status").read_text())
        wakeups += int(fields["voluntary_ctxt_switches"])
        cpu_ns += int((task / "schedstat").read_text().split()[0])
    return Used(wakeups, cpu_ns / 1e9)


def resident_bytes(pid: int) -> int:
    """Return the memory of a process.

    Source: proc(5): VmRSS of its status, in units of 1,024 bytes.
    """
    fields = _fields((PROC / str(pid) / "status").read_text())
    return int(fields["VmRSS"].split()[0]) * 1024


def _fields(status: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in status.splitlines())
