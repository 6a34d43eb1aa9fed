"""Runs an MQTT broker on loopback for the demo and the tests.

In: a port and a directory.  Out: a broker process that answers CONNECT.
Standard library only: it runs before the virtual environment is complete. Knows nothing of edged.

`python3 -m tools.broker` makes sure that the tests have mosquitto, and says which.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.broker_programs import BrokerError, Programs, provide, version

HOST = "127.0.0.1"
START_S = 20.0
STOP_S = 10.0

# An MQTT 3.1.1 CONNECT with an empty client id and a clean session: every broker of any version
# answers it with a CONNACK, even one that wants a password.
# Source: MQTT 3.1.1, sections 3.1 and 3.2.
CONNECT = bytes([0x10, 12, 0, 4, *b"MQTT", 4, 0b10, 0, 10, 0, 0])
CONNACK = 0x20


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


def start(programs: Programs, directory: Path, port: int) -> Broker:
    """Start the broker with a configuration of its own on loopback, and wait until it answers.

    Raises:
        BrokerError: as `start_mosquitto`.
    """
    if programs.kind == "mosquitto":
        return start_mosquitto(programs, directory, port)
    return start_amqtt(programs, directory, port)


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
        # Without it a small answer waits 40 ms for the ACK of the PUBACK before it (Nagle's
        # algorithm with delayed ACKs): request and reply took 44 ms instead of 0.9 ms on loopback.
        "set_tcp_nodelay true",
    ]
    if not any(line.startswith("allow_anonymous") for line in extra):
        lines.append("allow_anonymous true")
    if os.getuid() == 0:
        # As root mosquitto would become the user "mosquitto", who may not write here.
        lines.append("user root")
    return [*lines, *extra]


def start_amqtt(programs: Programs, directory: Path, port: int) -> Broker:
    """Start the embedded broker on loopback and wait until it answers; it keeps nothing on disk.

    Raises:
        BrokerError: as `start_mosquitto`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "amqtt.yaml"
    # JSON is YAML.
    config.write_text(json.dumps(amqtt_config(port)))
    command = [str(programs.path("amqtt")), "-c", str(config)]
    return launch(command, programs.environment(), port, directory / "amqtt.log")


def amqtt_config(port: int) -> dict[str, object]:
    """Return a configuration that lets anyone on this machine in, and no one else."""
    anonymous = "amqtt.plugins.authentication.AnonymousAuthPlugin"
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
        "plugins": {anonymous: {"allow_anonymous": True}},
    }


def launch(command: list[str], environment: Mapping[str, str], port: int, log: Path) -> Broker:
    """Start a broker process and wait until it answers CONNECT on the port.

    Raises:
        BrokerError: as `start_mosquitto`.
    """
    if not is_port_free(port):
        raise BrokerError(f"port {port} on {HOST} is in use by another program")
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            # Ctrl-C in the terminal is for whoever started the broker, who then stops it.
            start_new_session=True,
        )
    broker = Broker(process, port, log)
    with contextlib.ExitStack() as undo:
        undo.callback(broker.kill)
        wait_until_ready(broker)
        undo.pop_all()
    return broker


def free_port() -> int:
    """Return a port of loopback that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


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
            raise BrokerError(f"the broker ended at once: {last_words(broker.log)}")
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


def last_words(log: Path) -> str:
    """Return the last two lines of a log, for an error message."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return "; ".join([line for line in lines if line][-2:]) or "nothing in its log"


def main() -> int:
    """Make sure of a mosquitto for the tests; 1 and a sentence when there is none."""
    try:
        programs = provide()
        print(f"broker: {version(programs)}, {programs.origin}")
    except BrokerError as error:
        print(f"broker: {error}", file=sys.stderr)
        return 1
    if programs.kind != "mosquitto":
        print("broker: the tests need mosquitto with its clients: install both", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
