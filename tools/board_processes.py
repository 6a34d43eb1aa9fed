"""Real processes of a board at a desk: `edged run`, and a bad network before its broker.

In: a directory and a broker's address.  Out: a daemon process that can be stopped, killed and
started again on the same state, its engine's process id; a fault proxy that takes orders.
For tests, `tools/soak` and `tools/power_cut`.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tools.broker_programs import ROOT

DEADLINE_S = 60.0


class Address(Protocol):
    """Where a board finds its broker, or the proxy before it."""

    @property
    def host(self) -> str:
        """The address that it listens on."""
        ...

    port: int


class ProxyProcess:
    """`tools.fault_proxy` before a broker; as a context manager it runs and ends."""

    host = "127.0.0.1"

    def __init__(self, broker: Address) -> None:
        command = [sys.executable, "-m", "tools.fault_proxy", "0", f"{broker.host}:{broker.port}"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._line().rpartition(" ")[2])

    def order(self, line: str) -> None:
        """Give it an order, and wait until it is carried out."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._line() == "ok"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class Daemon:
    """An `edged run` with its engine; as a context manager it starts and ends both.

    Args:
        directory: for configuration, state and log.
        broker: where it connects.
        backend: `sim` for speed, `llama` for the shipped model.
        sections: further tables of the configuration.
        journal: where a journald listens for it; None: its log is text.
        environment: further variables of the daemon's environment.
        prefix: a command that becomes the rest of its line, as `ip netns exec NAME`; may be changed
            between two starts.
    """

    def __init__(
        self,
        directory: Path,
        broker: Address,
        *,
        backend: str = "sim",
        sections: dict[str, dict[str, Any]] | None = None,
        journal: Path | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.state_dir = directory
        self.log = directory / "edged.log"
        tables: dict[str, dict[str, Any]] = {
            "broker": {"host": broker.host, "port": broker.port, "reconnect_s_max": 0.5},
            "engine": {"backend": backend},
        }
        for name, keys in (sections or {}).items():
            tables[name] = tables.get(name, {}) | keys
        self.config = write_config(directory, **tables)
        self._journal = journal
        self._environment = dict(environment or {})
        self.prefix = prefix
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon."""
        environment = {key: os.environ[key] for key in os.environ if key != "NOTIFY_SOCKET"}
        environment |= self._environment
        command = [*self.prefix, sys.executable, "-m", "edged", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            if self._journal is not None:
                stderr = os.fstat(log.fileno())
                environment["JOURNAL_STREAM"] = f"{stderr.st_dev}:{stderr.st_ino}"
                command += ["--journal-socket", str(self._journal)]
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """End the daemon as systemd would; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        self.process = None
        return code

    def kill(self) -> None:
        """End the daemon as a crash would; its engine lives on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process = None

    @property
    def engine_pid(self) -> int | None:
        """The engine's process id, from its lock file; None when none runs."""
        try:
            pid = int((self.state_dir / "engine.lock").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if b"engine" in command else None

    def kill_engine(self) -> bool:
        """End the engine as a crash would; return whether there was one."""
        pid = self.engine_pid
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def wait_for_log(self, words: str) -> None:
        """Wait until the daemon's log holds `words`."""
        wait_until(lambda: words in self.log.read_text(), f"{words!r} in {self.log}")

    def __enter__(self) -> Daemon:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End daemon and engine, whatever happened."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(DEADLINE_S)
        self.kill_engine()


def write_config(folder: Path, **sections: dict[str, Any]) -> Path:
    """Write a configuration file whose state and sockets lie in `folder`.

    That of the orders is named: else a command finds the daemon that is installed on this machine.
    """
    tables: dict[str, dict[str, Any]] = {"node": {"state_dir": str(folder)}, **sections}
    tables["admin"] = {"socket": str(folder / "admin.sock"), **sections.get("admin", {})}
    lines = []
    for name, keys in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    path = folder / "edged.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    """Poll until a condition holds.

    Raises:
        AssertionError: it did not within the deadline.
    """
    deadline_s = time.monotonic() + DEADLINE_S
    pause = queue.Queue[None]()
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited {DEADLINE_S:.0f} s for {what}"
        try:
            pause.get(timeout=0.02)
        except queue.Empty:
            continue
