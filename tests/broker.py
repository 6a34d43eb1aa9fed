"""A real mosquitto of a test's own, on a free port, that can be stopped, killed and restarted.

In: a directory of the test.  Out: a broker process, its port, and commands for its clients.
Its sessions, queued and retained messages survive `kill()` and `restart()`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest

from tools.broker import HOST, Broker, start_mosquitto
from tools.broker import free_port as free_port
from tools.broker_programs import BrokerError, Programs, find

MISSING = "no mosquitto here: run tools/test once, or apt-get install mosquitto mosquitto-clients"


class Mosquitto:
    """A mosquitto broker on loopback; as a context manager it starts and stops by itself.

    Args:
        directory: for its configuration, database and log.
        users: user name -> password; anonymous clients are refused when given.
        extra_config: further lines of mosquitto.conf.
    """

    def __init__(
        self,
        directory: Path,
        *,
        users: Mapping[str, str] | None = None,
        extra_config: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.programs = programs()
        self.port = free_port()
        self._extra_config = list(extra_config)
        self._broker: Broker | None = None
        directory.mkdir(parents=True, exist_ok=True)
        if users is not None:
            self._extra_config += self._password_config(users)

    @property
    def url(self) -> str:
        """The broker's address, as clients that take a URL want it."""
        return f"mqtt://{HOST}:{self.port}"

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return HOST

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        return self._running().process.pid

    @property
    def log(self) -> Path:
        """The file that the broker writes its log to, over all its lives."""
        return self.directory / "mosquitto.log"

    def start(self) -> None:
        """Start the broker on its port with what its directory holds; wait until it answers."""
        self._broker = start_mosquitto(self.programs, self.directory, self.port, self._extra_config)

    def stop(self) -> None:
        """End the broker as an administrator would; nothing happens if it does not run."""
        if self._broker is not None:
            self._broker.stop()
        self._broker = None

    def kill(self) -> None:
        """End the broker as a crash would."""
        self._running().kill()
        self._broker = None

    def restart(self) -> None:
        """Stop the broker if it runs, and start it on the same port and directory."""
        self.stop()
        self.start()

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of `mosquitto_pub`, `_sub` or `_rr` for this broker."""
        return [str(self.programs.path(program)), "-h", HOST, "-p", str(self.port), *arguments]

    def run(self, program: str, *arguments: str, timeout_s: float = 30) -> str:
        """Run one of mosquitto's clients to its end and return what it printed.

        Raises:
            subprocess.CalledProcessError: the client failed; its stderr is in the error.
        """
        return subprocess.run(
            self.command(program, *arguments),
            env=self.environment,
            capture_output=True,
            check=True,
            text=True,
            timeout=timeout_s,
        ).stdout

    @property
    def environment(self) -> dict[str, str]:
        """The environment that mosquitto's programs must be started with."""
        return self.programs.environment()

    def __enter__(self) -> Mosquitto:
        """Start the broker."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the broker, whatever happened."""
        self.stop()

    def _running(self) -> Broker:
        assert self._broker is not None, "the broker is not running: start() it first"
        return self._broker

    def _password_config(self, users: Mapping[str, str]) -> list[str]:
        file = self.directory / "passwords"
        file.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
        hash_in_place = [str(self.programs.path("mosquitto_passwd")), "-U", str(file)]
        subprocess.run(hash_in_place, env=self.environment, check=True)
        return ["allow_anonymous false", f"password_file {file}"]


def programs() -> Programs:
    """Return mosquitto's programs on this machine.

    Raises:
        BrokerError: there are none; the tests that want them cannot run.
    """
    found = find()
    if found is None:
        raise BrokerError(MISSING)
    return found


def with_programs() -> dict[str, str]:
    """Return the environment of a process that looks for mosquitto's programs itself."""
    found = programs()
    return {**found.environment(), "PATH": ":".join(map(str, found.directories))}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker for all tests of a module."""
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running
