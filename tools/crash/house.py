"""The processes that are struck: broker, fault proxy, daemon, engine, and the tap between both.

In:  a directory, which may hold the state of an earlier run.     Out: all of it running, each part
with a process id; ended when the block ends.
In the layout `units`, that of systemd, the engine is a process of its own behind the tap, and the
daemon waits for it. In `shell` the daemon starts it, and there is no tap.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tools.board_processes import Daemon, ProxyProcess
from tools.broker import HOST, Broker, free_port, start_mosquitto
from tools.broker_programs import ROOT, Programs
from tools.crash.prompts import Backend

Layout = Literal["units", "shell"]

SECTIONS: dict[str, dict[str, Any]] = {
    # Short, so that a half-open connection costs a round seconds: noticed within two of them.
    "broker": {"keepalive_s": 5},
    # So much more than any count writes that retention never takes evidence away.
    "spool": {"bytes_max": 2**32, "retention_s": 31_536_000},
}


class BrokerProcess:
    """A mosquitto that can be killed and started again on its port and its database."""

    host = HOST

    def __init__(self, programs: Programs, directory: Path) -> None:
        self.port = free_port()
        self._programs = programs
        self._directory = directory
        self._running: Broker | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._running is not None
        return self._running.process.pid

    @property
    def has_died(self) -> bool:
        """Whether it ended by itself."""
        return self._running is not None and self._running.process.poll() is not None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._running = start_mosquitto(self._programs, self._directory, self.port)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._running is not None:
            self._running.kill()
        self._running = None


class Engine(Protocol):
    """An engine that can be killed and started."""

    @property
    def pid(self) -> int | None:
        """The process id; None without one."""

    @property
    def has_died(self) -> bool:
        """Whether it ended by itself."""

    def start(self) -> None:
        """Start it."""

    def kill(self) -> None:
        """End it as a crash would."""


@dataclass(frozen=True, slots=True)
class SpawnedEngine:
    """The engine that a daemon starts, and starts again."""

    daemon: Daemon
    has_died = False

    @property
    def pid(self) -> int | None:
        """The process id, from its lock; None without one."""
        return self.daemon.engine_pid

    def start(self) -> None:
        """Leave that to the daemon."""

    def kill(self) -> None:
        """End it as a crash would."""
        self.daemon.kill_engine()


class EngineUnit:
    """An `edged engine` that starts again when it ended, as systemd would start it."""

    def __init__(self, config: Path, socket: Path, log: Path) -> None:
        command = [sys.executable, "-m", "edged", "engine", "--config", str(config)]
        self._command = [*command, "--socket", str(socket)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None without one."""
        return None if self._process is None else self._process.pid

    @property
    def has_died(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        """Start it; it loads its model by itself."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


@dataclass(frozen=True, slots=True)
class House:
    """What runs.

    Attributes:
        spool: the daemon's database.
        handed: the lines of the tap.
    """

    broker: BrokerProcess
    proxy: ProxyProcess
    daemon: Daemon
    engine: Engine
    spool: Path
    handed: Path

    def mend(self) -> list[str]:
        """Start again what ended by itself; return which."""
        died = []
        if self.daemon.process is not None and self.daemon.process.poll() is not None:
            self.daemon.start()
            died.append("daemon")
        for name, part in (("engine", self.engine), ("broker", self.broker)):
            if part.has_died:
                part.kill()
                part.start()
                died.append(name)
        return died


@contextlib.contextmanager
def furnished(
    directory: Path, programs: Programs, backend: Backend, layout: Layout
) -> Iterator[House]:
    """Run all parts on the state that a directory holds; end them with the block."""
    state, handed = directory / "edged", directory / "handed.jsonl"
    state.mkdir(parents=True, exist_ok=True)
    handed.touch()
    with contextlib.ExitStack() as stack:
        broker = BrokerProcess(programs, directory / "broker")
        stack.callback(broker.kill)
        broker.start()
        proxy = stack.enter_context(ProxyProcess(broker))
        if layout == "shell":
            daemon = Daemon(state, proxy, backend=backend, sections=SECTIONS)
            engine: Engine = SpawnedEngine(daemon)
        else:
            daemon, engine = _units(state, proxy, backend, handed, stack)
        stack.enter_context(daemon)
        # Before its first subscription a broker has nobody to keep a prompt for.
        daemon.wait_for_log("connected to the broker")
        yield House(broker, proxy, daemon, engine, state / "spool.db", handed)


def _units(
    state: Path, proxy: ProxyProcess, backend: Backend, handed: Path, stack: contextlib.ExitStack
) -> tuple[Daemon, Engine]:
    """Start tap and engine; return the daemon that will find them, and the engine."""
    tapped, direct = state / "tapped.sock", state / "engine.sock"
    daemon = Daemon(
        state,
        proxy,
        backend=backend,
        sections=SECTIONS | {"engine": {"socket": str(tapped)}},
        # Any name: under systemd the daemon waits for the engine and starts none.
        environment={"NOTIFY_SOCKET": str(state / "nobody.sock")},
    )
    engine = EngineUnit(daemon.config, direct, daemon.log)
    stack.callback(engine.kill)
    stack.enter_context(_tap(tapped, direct, handed))
    engine.start()
    return daemon, engine


@contextlib.contextmanager
def _tap(listen: Path, engine: Path, lines: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tools.crash.engine_tap", str(listen), str(engine)]
    process = subprocess.Popen([*command, str(lines)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()
