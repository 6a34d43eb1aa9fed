"""Finds an MQTT broker on this machine, or unpacks one, and runs it for the demo and the tests.

In: a port and a directory.  Out: a broker process that answers CONNECT, and its programs' paths.
Standard library only: it runs before the virtual environment is complete. Knows nothing of edged.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
UNPACKED = ROOT / ".venv" / "broker"
HOST = "127.0.0.1"
START_S = 20.0
STOP_S = 10.0

# An MQTT 3.1.1 CONNECT with an empty client id and a clean session: every broker of any version
# answers it with a CONNACK, even one that wants a password.
# Source: MQTT 3.1.1, sections 3.1 and 3.2.
CONNECT = bytes([0x10, 12, 0, 4, *b"MQTT", 4, 0b10, 0, 10, 0, 0])
CONNACK = 0x20


class BrokerError(Exception):
    """A broker that cannot be found, started or reached; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the broker's programs lie on this machine."""

    kind: Literal["mosquitto", "amqtt"]
    origin: str  # for people: "installed", "unpacked into .venv/broker", ...
    directories: tuple[Path, ...]  # searched in this order
    library_path: str | None = None  # LD_LIBRARY_PATH that unpacked programs need

    def path(self, name: str) -> Path:
        """Return the path of a program.

        Raises:
            BrokerError: the program is in none of the directories.
        """
        for directory in self.directories:
            if os.access(directory / name, os.X_OK):
                return directory / name
        raise BrokerError(f"{name} is not installed: apt-get install {package_of(name)}")

    def environment(self) -> dict[str, str]:
        """Return the environment to start any of the programs with."""
        if self.library_path is None:
            return dict(os.environ)
        return {**os.environ, "LD_LIBRARY_PATH": self.library_path}


def find(unpacked: Path = UNPACKED) -> Programs | None:
    """Return the mosquitto of this machine, or the one unpacked earlier, or None."""
    installed = search_path()
    if is_complete(installed):
        return Programs("mosquitto", "installed", installed)
    directories = (unpacked / "usr" / "sbin", unpacked / "usr" / "bin")
    if is_complete(directories):
        origin = f"unpacked into {unpacked}"
        return Programs("mosquitto", origin, directories, library_path(unpacked))
    return None


def search_path() -> tuple[Path, ...]:
    """Return PATH plus the sbin directories, which a plain user's PATH lacks on Debian."""
    entries = [*os.get_exec_path(), "/usr/local/sbin", "/usr/sbin"]
    return tuple(Path(entry) for entry in dict.fromkeys(entries))


def is_complete(directories: Sequence[Path]) -> bool:
    """Return whether the broker and its three clients are all there."""
    return all(
        any(os.access(directory / name, os.X_OK) for directory in directories)
        for name in ("mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_rr")
    )


def library_path(unpacked: Path) -> str:
    """Return the directories under `unpacked` that hold shared libraries, as LD_LIBRARY_PATH."""
    directories = {library.parent for library in unpacked.glob("**/lib*.so.*")}
    return ":".join(str(directory) for directory in sorted(directories))


def package_of(name: str) -> str:
    """Return the Debian package that holds a program of mosquitto."""
    return "mosquitto-clients" if name in CLIENTS else "mosquitto"


CLIENTS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker: its process, its port, and its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def stop(self) -> None:
        """End the broker by its own pid, politely first."""
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)
            return
        self.kill()

    def kill(self) -> None:
        """End the broker as a crash would: SIGKILL, nothing saved on the way out."""
        self.process.kill()
        self.process.wait()


def start_mosquitto(
    programs: Programs, directory: Path, port: int, extra_config: Sequence[str] = ()
) -> Broker:
    """Start mosquitto on loopback with its own configuration and wait until it answers.

    Args:
        programs: where mosquitto is.
        directory: for its configuration, database and log; reused by a later start.
        port: TCP port on loopback.
        extra_config: lines of mosquitto.conf; a given `allow_anonymous` replaces the default.

    Raises:
        BrokerError: the port is taken, or the broker ended or did not answer in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "mosquitto.conf"
    config.write_text("\n".join(mosquitto_config(directory, port, extra_config)) + "\n")
    command = [str(programs.path("mosquitto")), "-c", str(config)]
    return launch(command, programs.environment(), port, directory / "mosquitto.log")


def mosquitto_config(directory: Path, port: int, extra: Sequence[str]) -> list[str]:
    """Return the lines of a mosquitto.conf that survives a SIGKILL of the broker."""
    lines = [
        f"listener {port} {HOST}",
        "persistence true",
        f"persistence_location {directory}/",
        # The default saves every 1,800 s: a killed broker would lose sessions, queued and
        # retained messages that it had acknowledged (measured, mosquitto 2.0.11).
        "autosave_on_changes true",
        "autosave_interval 1",
        "log_dest stderr",
    ]
    if not any(line.startswith("allow_anonymous") for line in extra):
        lines.append("allow_anonymous true")
    if os.getuid() == 0:
        # As root mosquitto would become the user "mosquitto", who may not write here.
        lines.append("user root")
    return [*lines, *extra]


def launch(command: list[str], environment: Mapping[str, str], port: int, log: Path) -> Broker:
    """Start a broker process and wait until it answers CONNECT on the port.

    Raises:
        BrokerError: as `start_mosquitto`.
    """
    if not is_port_free(port):
        raise BrokerError(f"port {port} on {HOST} is in use by another program")
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    broker = Broker(process, port, log)
    try:
        wait_until_ready(broker)
    except BaseException:
        broker.kill()
        raise
    return broker


def is_port_free(port: int) -> bool:
    """Return whether a server could listen on this port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def wait_until_ready(broker: Broker) -> None:
    """Wait for the first CONNACK, the broker's end, or the deadline."""
    deadline_s = time.monotonic() + START_S
    while not answers_connect(broker.port):
        with contextlib.suppress(subprocess.TimeoutExpired):
            broker.process.wait(0.02)
            raise BrokerError(f"the broker ended at once: {last_line(broker.log)}")
        if time.monotonic() > deadline_s:
            raise BrokerError(f"the broker did not answer in {START_S:.0f} s; see {broker.log}")


def answers_connect(port: int) -> bool:
    """Return whether something on the port answers an MQTT CONNECT with a CONNACK."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as link:
            link.sendall(CONNECT)
            return link.recv(1) == bytes([CONNACK])
    except OSError:
        return False


def last_line(log: Path) -> str:
    """Return the last line of a log, for an error message."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "nothing in its log")
