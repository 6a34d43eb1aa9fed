"""What the clock caps were before edged wrote them.

In:  values as they were read.     Out: one JSON file in the state directory, whole or not there.
It is on disk before the first cap is written, outlives every process of edged, and is gone once
the caps are restored. After a reboot the kernel has its own values again: a file of another boot
is void. Several processes use it (the daemon, `edged restore-clocks`), one at a time.
The file may be written by edged's user and read by root, so that nothing in it is believed but
digits for paths that are clock caps.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edged.board.kept import remove, write_whole

FILE = "clocks.json"
LOCK = "clocks.lock"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Below the root; no `..`, no other file of the kernel.
CAP_PATH = re.compile(
    r"class/devfreq/(?!\.)[\w.-]+/max_freq|devices/system/cpu/cpufreq/policy\d+/scaling_max_freq"
)


class SavedClocks:
    """The file of one state directory.

    Args:
        boot: names this boot of the machine.
    """

    def __init__(self, state_dir: Path, boot: str) -> None:
        self._path = state_dir / FILE
        self._lock = state_dir / LOCK
        self._boot = boot

    @property
    def is_there(self) -> bool:
        """Return whether anything was saved, in this boot or another."""
        return self._path.exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes of edged from the caps and the file meanwhile.

        Raises:
            OSError: the state directory is missing or cannot be written.
        """
        # Opened to read: a file system that turned read-only still lets the clocks be restored.
        opened = os.open(self._lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)

    def read(self) -> dict[str, int]:
        """Return the counts by path below the root; empty without a file of this boot."""
        try:
            told = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(told, dict) or told.get("boot") != self._boot:
            return {}
        values = told.get("values")
        pairs = values.items() if isinstance(values, dict) else ()
        return {name: count for name, count in pairs if _is_cap(name, count)}

    def write(self, counts: Mapping[str, int]) -> None:
        """Put these in place of the file; nothing to keep removes it.

        Raises:
            OSError: the state directory cannot be written.
        """
        if counts:
            told = {"boot": self._boot, "values": dict(counts)}
            write_whole(self._path, json.dumps(told, indent=1).encode())
        elif self.is_there:
            remove(self._path)


def _is_cap(name: object, count: object) -> bool:
    is_path = isinstance(name, str) and CAP_PATH.fullmatch(name) is not None
    return is_path and isinstance(count, int) and not isinstance(count, bool) and count >= 0


def boot_id(path: Path = BOOT_ID) -> str:
    """Return what names this boot; the same word for all boots where the kernel tells none."""
    try:
        return path.read_text().strip()
    except OSError:
        return "unknown"
