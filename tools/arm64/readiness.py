"""Hears from a service on the machine that it serves, as systemd does.

In: a folder on the machine.  Out: a socket in it, and that `READY=1` came.
Source: sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from tools.arm64.emulation import Arm64Error

# More than the units give themselves: an emulated processor is slow.
READY_S = 600.0


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at a path for any user's words until the block ends.

    Whoever speaks afterwards is refused, and does not wait for a reader.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            # The whole path may be longer than a socket's name can be.
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
            path.chmod(0o666)
            yield listener
    finally:
        os.close(folder)
        path.unlink(missing_ok=True)


def wait_until_ready(listener: socket.socket, name: str, limit_s: float = READY_S) -> None:
    """Return once the service says that it is ready.

    Raises:
        Arm64Error: it does not in time.
    """
    end_s = time.monotonic() + limit_s
    while (left_s := end_s - time.monotonic()) > 0:
        listener.settimeout(left_s)
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in listener.recv(4096).split(b"\n"):
                return
    raise Arm64Error(f"{name} was not ready after {limit_s:.0f} s")
