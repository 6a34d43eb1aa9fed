"""Starts engine processes and ends them: the seam to the kernel.

In:  the configuration, process ids.     Out: processes, or why one cannot be ended.
Under systemd (`NOTIFY_SOCKET` is set) the engine is a unit of its own, and none is started here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edged.config import Config
from edged.unix_socket import Connected, peer_ids

log = logging.getLogger(__name__)

# Together, with what a farewell takes, less than systemd gives a daemon to end.
END_S_MAX = 10.0
# SIGKILL ends a process at once, unless a driver holds it.
KILL_S_MAX = 5.0
UNENDING = "SIGKILL does not end it: a driver holds it"


class Processes(Protocol):
    """What the engine's client needs of the kernel."""

    @property
    def starts(self) -> bool:
        """Return whether an engine that is not there is started here."""

    @property
    def own_pid(self) -> int | None:
        """Return the process that was started here, while it runs."""

    @property
    def exit_code(self) -> int | None:
        """Return what the last one that was started here ended with; None while it runs."""

    def listener(self, connection: Connected) -> int:
        """Return the process behind a connection, whatever it says; 0 where nobody can see it."""

    async def start(self) -> None:
        """Start an engine, unless the last one still runs."""

    def kill(self, pid: int) -> str:
        """Send SIGKILL; return why that cannot be done, "" where it was sent or nobody is there."""

    def renew(self, pid: int) -> None:
        """Have a process begin anew, with what it is to load then."""

    async def gone(self, pid: int) -> None:
        """Wait until a process has ended, whoever ends it."""

    async def ended(self, pid: int, number: signal.Signals, wait_s: float) -> bool:
        """Send a signal; return whether the process ended within `wait_s`."""

    async def reap(self, wait_s: float) -> None:
        """Wait for the end of the one that was started here, while the event loop lives."""


async def end(processes: Processes, pid: int) -> None:
    """End one, and take its exit code; one that nothing ends is left."""
    is_own = pid == processes.own_pid
    has_ended = await processes.ended(pid, signal.SIGTERM, END_S_MAX)
    if not has_ended:
        log.error("engine %d did not end within %.0f s; killed", pid, END_S_MAX)
        has_ended = await processes.ended(pid, signal.SIGKILL, KILL_S_MAX)
    if not has_ended:
        log.error("engine %d is left: %s", pid, UNENDING)
    elif is_own:
        await processes.reap(KILL_S_MAX)


@contextlib.contextmanager
def _opened(pid: int) -> Iterator[int]:
    """Hold a handle of a process: it names that one for good, its number may become another's."""
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


async def _over(handle: int) -> None:
    """Wait until the process of a handle has ended."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(handle)


class OwnProcesses:
    """The processes of this machine.

    Args:
        config: says where state and socket are.
        config_path: its file, handed to a started engine; None: the defaults.
        is_tied: whether a started engine ends with this process, however that ends.
    """

    def __init__(self, config: Config, config_path: Path | None, *, is_tied: bool = False) -> None:
        self._command = [sys.executable, "-m", "edged", "engine", "--spawned"]
        self._command += ["--state-dir", str(config.state_dir)]
        self._command += ["--socket", str(config.engine_socket)]
        if config_path is not None:
            self._command += ["--config", str(config_path)]
        if is_tied:
            self._command += ["--parent", str(os.getpid())]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def starts(self) -> bool:
        """Return whether nobody else starts engines: systemd does."""
        return "NOTIFY_SOCKET" not in os.environ

    @property
    def own_pid(self) -> int | None:
        """Return the process that was started here, while it runs."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    @property
    def exit_code(self) -> int | None:
        """Return what the last one that was started here ended with; None while it runs."""
        return None if self._process is None else self._process.returncode

    def listener(self, connection: Connected) -> int:
        """Return the process that called `listen`: the kernel knows it."""
        return peer_ids(connection)[0]

    async def start(self) -> None:
        """Start an engine in a session of its own: a signal to the daemon's group spares it."""
        if self.own_pid is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )

    def kill(self, pid: int) -> str:
        """Send SIGKILL; return why that cannot be done."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return ""
        except PermissionError:
            return f"process {pid} belongs to another user, whose processes edged may not end"
        return ""

    def renew(self, pid: int) -> None:
        """Have a process begin anew; one that has ended does so anyway."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGUSR1)

    async def gone(self, pid: int) -> None:
        """Wait until a process has ended, whoever ends it."""
        with contextlib.suppress(ProcessLookupError), _opened(pid) as handle:
            await _over(handle)

    async def ended(self, pid: int, number: signal.Signals, wait_s: float) -> bool:
        """Send a signal; return whether the process ended within `wait_s`."""
        try:
            with _opened(pid) as handle:
                signal.pidfd_send_signal(handle, number)
                async with asyncio.timeout(wait_s):
                    await _over(handle)
        except ProcessLookupError:
            return True
        except (TimeoutError, PermissionError):
            return False
        return True

    async def reap(self, wait_s: float) -> None:
        """Wait for the end of the one that was started here, while the event loop lives."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._process.wait()
