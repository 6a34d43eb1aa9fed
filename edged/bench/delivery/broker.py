"""A mosquitto of the benchmark's own, on a free port of loopback, that keeps nothing on disk.

In:  a folder.     Out: a port that answers, as long as the block lasts.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.errors import ConfigError

HOST = "127.0.0.1"
START_S = 20.0
# Debian puts it where a plain user's PATH does not look.
FURTHER_FOLDERS = ("/usr/local/sbin", "/usr/sbin")


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """Run a broker until the block ends; its port.

    Raises:
        ConfigError: there is no mosquitto, or it does not come up.
    """
    port = _free_port()
    file = folder / "mosquitto.conf"
    file.write_text("\n".join(_settings(port)) + "\n", encoding="utf-8")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([_program(), "-c", str(file)], stdout=log, stderr=log)
    try:
        _wait_until_open(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _program() -> str:
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *FURTHER_FOLDERS))
    found = shutil.which("mosquitto", path=folders)
    if found is None:
        raise ConfigError("no mosquitto here: apt-get install mosquitto")
    return found


def _settings(port: int) -> list[str]:
    return [
        f"listener {port} {HOST}",
        "allow_anonymous true",
        "persistence false",
        # All that is published waits for whoever is away; the default drops it after 1,000.
        "max_queued_messages 0",
        # Else small packets wait for the ACK of those before them (Nagle's algorithm).
        "set_tcp_nodelay true",
        "log_type error",
        # As root it would become the user "mosquitto".
        *(["user root"] if os.getuid() == 0 else []),
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_open(process: subprocess.Popen[bytes], port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise ConfigError(f"mosquitto does not come up on port {port}: {error}") from error
            time.sleep(0.02)
        else:
            return
