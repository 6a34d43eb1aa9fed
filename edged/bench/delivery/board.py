"""One `edged run` of the benchmark, with its engine: a real process, seen from outside.

In:  where its broker is, tables of its configuration.     Out: its process ids, state, orders.
Its log goes to memory: under systemd journald has it, and here the disk is measured.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from edged import config
from edged.admin.client import asked
from edged.admin.wire import Ask, HoldAsk, StatusAsk
from edged.bench.delivery.broker import HOST
from edged.errors import AdminUnreachable, EngineUnusable

WAIT_S = 300.0
POLL_S = 0.05
END_S = 20.0
# What systemd says to a service; a benchmark that runs in one is no board.
SYSTEMD = ("NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "WATCHDOG_USEC")

Tables = Mapping[str, Mapping[str, Any]]


class Board:
    """A daemon and its engine; as a context manager it starts, and ends both.

    Args:
        folder: for configuration and state; its name is the board's.
        port: of the broker.
        tables: of the configuration, in place of the defaults.
        preload: a library that goes before libc.
    """

    def __init__(
        self, folder: Path, port: int, tables: Tables | None = None, preload: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = folder.name
        self._file = folder / "edged.toml"
        self._file.write_text(_as_toml(_whole(folder, port, tables or {})), encoding="utf-8")
        self._config = config.load(self._file)
        self._environment = {key: os.environ[key] for key in os.environ if key not in SYSTEMD}
        if preload is not None:
            self._environment["LD_PRELOAD"] = str(preload)
        self._log = os.memfd_create("edged-bench-log")
        self._process: subprocess.Popen[bytes] | None = None
        self._engine_pid: int | None = None

    @property
    def topic(self) -> str:
        """The board's topic root."""
        return f"edged/v1/{self._config.node.site}/{self.name}"

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._process is not None, "the daemon was not started"
        return self._process.pid

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of daemon and engine."""
        return (self.pid, self._engine())

    def start(self) -> None:
        """Start the daemon, and return at once."""
        command = [sys.executable, "-m", "edged", "run", "--config", str(self._file)]
        self._process = subprocess.Popen(
            command, env=self._environment, stdout=self._log, stderr=self._log
        )

    def wait_until_ready(self) -> None:
        """Wait until the model is resident and the broker is connected.

        Raises:
            EngineUnusable: that takes too long.
        """
        self.wait(lambda: self._phase() == "ready", "the engine is ready")
        self._engine_pid = self._engine()

    def pause(self) -> None:
        """Let it take prompts and start none."""
        asked(self._config, HoldAsk(command="pause"))

    def state(self) -> dict[str, Any]:
        """Return what the retained topic `state` would say now."""
        return self._asked(StatusAsk())

    def hold_still(self) -> None:
        """Stop the daemon's process in the middle of what it does."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the daemon's process run again."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the daemon as a crash would; its engine lives on."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._process = None

    def wait(self, is_true: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds.

        Raises:
            EngineUnusable: it took too long, or the daemon ended; with the end of its log.
        """
        deadline_s = time.monotonic() + WAIT_S
        while not is_true():
            is_over = self._process is None or self._process.poll() is not None
            if is_over or time.monotonic() > deadline_s:
                raise EngineUnusable(f"{self.name}: not so: {what}; its log ends: {self._words()}")
            time.sleep(POLL_S)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End daemon and engine, whatever happened."""
        if self._process is not None:
            self.go_on()
            self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._engine_pid is not None and _is_engine(self._engine_pid):
            os.kill(self._engine_pid, signal.SIGKILL)
        os.close(self._log)

    def _engine(self) -> int:
        return int((self.folder / "engine.lock").read_text())

    def _phase(self) -> str:
        try:
            phase: str = self.state()["engine"]["phase"]
        except AdminUnreachable:
            return "starting"
        return phase

    def _asked(self, ask: Ask) -> dict[str, Any]:
        return asked(self._config, ask).state or {}

    def _words(self) -> str:
        size = os.fstat(self._log).st_size
        return os.pread(self._log, 800, max(0, size - 800)).decode(errors="replace").strip()


def _is_engine(pid: int) -> bool:
    try:
        return b"engine" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _whole(folder: Path, port: int, tables: Tables) -> dict[str, dict[str, Any]]:
    own: dict[str, dict[str, Any]] = {
        "node": {"name": folder.name, "state_dir": str(folder)},
        "broker": {"host": HOST, "port": port},
        # What is measured is the delivery, not the budget of the machine that measures it.
        "power": {"enforce": "never"},
    }
    return own | {name: own.get(name, {}) | dict(keys) for name, keys in tables.items()}


def _as_toml(tables: Tables) -> str:
    # A TOML string, integer or float is written as JSON writes it.
    lines = [
        line
        for name, keys in tables.items()
        for line in (f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()))
    ]
    return "\n".join(lines) + "\n"
