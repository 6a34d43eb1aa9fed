"""Whether an engine runs, and who holds the NPU.

In:  lock files, /proc/locks.     Out: process ids, who may take the NPU's, findings.
The locks are read from the kernel's list and never taken: an engine that starts at this moment
would find a taken lock and end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edged.doctor.finding import Finding, error, trouble, well
from edged.doctor.person import Guard, Person, guard_of
from edged.doctor.root import Root, text


@dataclass(frozen=True, slots=True)
class Locks:
    """Process ids of the holders; None where a lock is free.

    Attributes:
        npu_file: the NPU's lock file; None where nobody made it yet.
    """

    engine: int | None
    daemon: int | None
    npu: int | None
    npu_file: Guard | None = None


def look(root: Root, state_dir: Path, npu_lock: Path) -> Locks:
    """Return who holds which lock."""
    listed = text(root.at("/proc/locks"))
    return Locks(
        engine=_holder(state_dir / "engine.lock", listed),
        daemon=_holder(state_dir / "edged.lock", listed),
        npu=_holder(npu_lock, listed),
        npu_file=guard_of(npu_lock),
    )


def _holder(file: Path, listed: str) -> int | None:
    """Return the process that the kernel lists for this file.

    Source: proc(5): `1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF`: process, device, inode. The
    device is not compared: on btrfs and overlayfs it is another one than stat's.
    """
    try:
        inode = file.stat().st_ino
    except OSError:
        return None
    found = re.search(rf"(?m)^\d+: FLOCK +\w+ +WRITE +(-?\d+) +\w+:\w+:{inode} ", listed)
    return None if found is None else int(found[1])


def judge(locks: Locks, npu_lock: Path, person: Person, *, needs_npu: bool) -> list[Finding]:
    """Return whether an engine runs, and whether the NPU is free for it."""
    running = {"the daemon": locks.daemon, "an engine": locks.engine}
    told = [f"{what} runs (process {pid})" for what, pid in running.items() if pid is not None]
    found = [well("engine", ", ".join(told) or "neither daemon nor engine runs here")]
    if locks.npu is None:
        return [*found, *_closed(locks, person, needs_npu=needs_npu)]
    if locks.npu == locks.engine:
        return [*found, well("npu-lock", f"the engine holds the NPU (process {locks.npu})")]
    says = f"process {locks.npu} holds {npu_lock}, and two clients of the NPU can stop the kernel"
    mend = f"end process {locks.npu}: see `ps -p {locks.npu} -o args=`"
    return [*found, trouble("npu-lock", says, mend, is_needed=needs_npu)]


def _closed(locks: Locks, person: Person, *, needs_npu: bool) -> list[Finding]:
    """Return that the person may not take the NPU's lock: another user made its file."""
    file = locks.npu_file
    if file is None or file.admits(person) or not needs_npu:
        return []
    says = f"{person.name} may not open {file.path}, the lock of the NPU, which another user made"
    mend = f"sudo rm {file.path} && sudo systemd-tmpfiles --create"
    return [error("npu-lock", says, mend)]
