"""The disk under the benchmark: one that syncs slowly, and what a process wrote to it.

In:  a folder, process ids.     Out: a library for LD_PRELOAD; bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from edged.errors import ConfigError

SOURCE = Path(__file__).with_name("slow_fsync.c")
FSYNC_S = 0.010
VARIABLE = "EDGED_BENCH_FSYNC_US"
# File systems whose writes reach no disk, and which no process is charged for.
IN_MEMORY = ("tmpfs", "ramfs")
_TRIAL = """
import os, sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=FULL")
database.execute("CREATE TABLE t (x)")
took_s = []
for _ in range(10):
    began_s = time.perf_counter()
    database.execute("INSERT INTO t VALUES (1)")
    took_s.append(time.perf_counter() - began_s)
print(min(took_s))
"""


def slow_fsync(folder: Path) -> Path | None:
    """Build what makes syncs slow; None where there is no C compiler.

    Raises:
        ConfigError: it was built, and SQLite's commits do not get slower by it.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = folder / "slow_fsync.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    commit_s = _commit_s(library, folder)
    if not FSYNC_S <= commit_s < 2 * FSYNC_S:
        raise ConfigError(
            f"a commit of SQLite takes {commit_s * 1000:.1f} ms with {FSYNC_S * 1000:.0f} ms "
            "injected: this Python's SQLite does not sync through libc, or the disk is slow itself"
        )
    return library


def slow_environment() -> None:
    """Tell every process that is started from now on how slow; only those with the library obey."""
    os.environ[VARIABLE] = str(round(FSYNC_S * 1e6))


def _commit_s(library: Path, folder: Path) -> float:
    """Return what a commit of one row takes with the library, at best."""
    environment = os.environ | {"LD_PRELOAD": str(library), VARIABLE: str(round(FSYNC_S * 1e6))}
    command = [sys.executable, "-c", _TRIAL, str(folder / "trial.db")]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def check_on_disk(folder: Path) -> None:
    """Refuse a folder in memory.

    Raises:
        ConfigError: nothing that is written there reaches a disk.
    """
    kind = _file_system(folder)
    if kind in IN_MEMORY:
        raise ConfigError(
            f"{folder}: a {kind}, of which nothing reaches a disk; give --folder one on a disk"
        )


def _file_system(folder: Path) -> str:
    # Source: proc(5), /proc/mounts: device, where, kind; the longest `where` counts.
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(where), kind) for _, where, kind, *_ in mounts if _holds(Path(where), folder)]
    return max(above, default=(0, "unknown"))[1]


def _holds(where: Path, folder: Path) -> bool:
    return folder.resolve().is_relative_to(where)


def written_bytes(pid: int) -> int:
    """Return what a process caused to be written to disks so far.

    Source: proc(5), /proc/PID/io, write_bytes: pages that it made dirty, each time they were clean.
    """
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    fields = dict(line.split(": ") for line in lines)
    return int(fields["write_bytes"])
