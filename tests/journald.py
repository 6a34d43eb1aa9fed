"""A real systemd-journald of a test's own, and journalctl to ask it.

It runs in a mount namespace with a /run of its own: the machine's journal sees nothing of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path("/usr/lib/systemd/systemd-journald")
START = f"mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal /run/log/journal; exec {PROGRAM}"
DEADLINE_S = 60.0

needs_journald = pytest.mark.skipif(
    os.geteuid() != 0 or not PROGRAM.exists() or shutil.which("journalctl") is None,
    reason="a journald of the test's own needs root, systemd-journald and journalctl",
)


class Journald:
    """Listens from the start to the end of its context."""

    def __enter__(self) -> Journald:
        """Start it, and wait until it listens."""
        command = ["unshare", "--mount", "--propagation=private", "bash", "-euc", START]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not (self._is_journald() and self.socket.is_socket()):
            if self._process.poll() is not None:
                pytest.skip("no mount namespace can be made here, or no journald started in it")
        return self

    def __exit__(self, *_: object) -> None:
        """End it; its files go with its /run."""
        self._process.terminate()
        self._process.wait(DEADLINE_S)

    def _is_journald(self) -> bool:
        """Return whether /run is its own by now; before, it is the machine's."""
        return Path(f"/proc/{self._process.pid}/comm").read_text().startswith("systemd-journal")

    @property
    def socket(self) -> Path:
        """Return where it listens, as seen from outside its namespace."""
        return Path(f"/proc/{self._process.pid}/root/run/systemd/journal/socket")

    def find(self, *matches: str) -> list[dict[str, str]]:
        """Return the records that journalctl finds."""
        self._journalctl("--sync")
        found = self._journalctl("-D", "/run/log/journal", "--all", "--output=json", *matches)
        return [json.loads(line) for line in found.splitlines()]

    def _journalctl(self, *words: str) -> str:
        command = ["nsenter", "--mount", f"--target={self._process.pid}", "journalctl", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEADLINE_S, check=True
        )
        return done.stdout
