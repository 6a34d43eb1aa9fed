"""What the engine process has used of the machine, as the kernel's books have it.

In:  a process id.     Out: `Use`, its totals since it started. Blocking: one small file of /proc.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Use:
    """What the engine process has used since it started.

    Attributes:
        cpu_s: CPU seconds of all its threads.
        npu_s: seconds that the NPU computed for it.
        decode_s: seconds of its decode steps, which read the whole model from memory; of any engine
            before it too.
    """

    cpu_s: float
    npu_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process had used at one moment of the monotonic clock."""

    at_s: float
    use: Use


@dataclass(frozen=True, slots=True)
class Busy:
    """The work of a stretch of time.

    Attributes:
        cores: cores' worth of CPU time.
        npu, decode: share of the time that the NPU computes, that decode steps run.
        covered_s: the time that they are the mean of.
    """

    cores: float = 0.0
    npu: float = 0.0
    decode: float = 0.0
    covered_s: float = 0.0


def use_of(pid: int | None, decode_s: float = 0.0) -> Use | None:
    """Return what a process has used, its decode steps as its client counts; None: it ended."""
    cpu_s = None if pid is None else process_cpu_s(pid)
    return None if cpu_s is None else Use(cpu_s, decode_s=decode_s)


def busy_of(samples: Sequence[Sample], window_s: float) -> Busy:
    """Return how busy a process kept the machine, as the mean of the last `window_s`.

    Where the window begins between two samples the work between them counts evenly: a board that
    idled for an hour and then works does not show the mean of the hour.
    """
    if not samples:
        return Busy()
    began_s = samples[-1].at_s - window_s
    cpu_s = npu_s = decode_s = covered_s = 0.0
    for earlier, later in itertools.pairwise(samples):
        length_s = later.at_s - earlier.at_s
        inside_s = later.at_s - max(earlier.at_s, began_s)
        if length_s > 0 and inside_s > 0:
            share = inside_s / length_s
            cpu_s += (later.use.cpu_s - earlier.use.cpu_s) * share
            npu_s += (later.use.npu_s - earlier.use.npu_s) * share
            decode_s += (later.use.decode_s - earlier.use.decode_s) * share
            covered_s += inside_s
    if covered_s <= 0:
        return Busy()
    cores = max(0.0, cpu_s / covered_s)
    return Busy(cores, _share(npu_s / covered_s), _share(decode_s / covered_s), covered_s)


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def process_cpu_s(pid: int) -> float | None:
    """Return user plus system seconds of a process; None when it is gone.

    Source: proc_pid_stat(5): utime and stime are fields 14 and 15, in clock ticks; the command's
    name in field 2 may hold spaces.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
