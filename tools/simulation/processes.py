"""The kernel as the client of simulated engines sees it.

In:  orders to start and to end.     Out: `NearEngine`s, one at a time; some never end.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from edged.config import Config
from tools.simulation.computed import Computed
from tools.simulation.engine import NearEngine, Watcher

# No process of this machine has such a number. Source: proc_sys_kernel(5), pid_max.
FIRST_PID = 5_000_000


class Engines:
    """The kernel as the engine's client sees it.

    Attributes:
        current: the newest engine.
        cannot_end: SIGKILL does not end what runs now, as where a driver holds it.
        keeps_failing: engines end before they listen.
        started: how many were.
    """

    starts = True

    def __init__(self, config: Config, make: Callable[[], Computed], watcher: Watcher) -> None:
        self.current: NearEngine | None = None
        self.cannot_end = self.keeps_failing = False
        self._is_nobodys = self._is_dying = False
        self._is_own = True
        self.started = 0
        self._config = config
        self._make = make
        self._watcher = watcher
        self._exit_code: int | None = None

    def handed_over(self) -> Engines:
        """Return the same engines for the next daemon; the one before can do nothing any more."""
        heir = Engines(self._config, self._make, self._watcher)
        heir.current, heir.started = self.current, self.started
        heir.cannot_end, heir.keeps_failing = self.cannot_end, self.keeps_failing
        heir._is_dying, heir._is_own = self._is_dying, False
        if self.current is not None:
            self.current.hang_up()
        self.current, self._is_nobodys = None, True
        return heir

    @property
    def own_pid(self) -> int | None:
        """Return the engine that runs."""
        return self._pid if self._lives else None

    @property
    def exit_code(self) -> int | None:
        """Return what the last one ended with."""
        return None if self._lives else self._exit_code

    @property
    def _lives(self) -> bool:
        return self.current is not None and not self.current.has_ended.is_set()

    @property
    def _pid(self) -> int | None:
        return None if self.current is None else self.current.pid

    async def start(self) -> None:
        """Start an engine, unless one runs."""
        if self._is_nobodys:
            return
        health, current = self._watcher.health, self.current
        if self._lives and current is not None:
            if current.listens and not self._is_own:
                health.begins(None, beside=True)
            return
        self.started += 1
        self._exit_code = 1
        self._is_own, self._is_dying = True, False
        if self.keeps_failing:
            self.current = None
            health.begins(None, beside=False)
            health.ended(None)
            return
        pid = FIRST_PID + self.started
        self.current = NearEngine(self._config, pid, self._make(), self._watcher)
        health.begins(self.current, beside=False)
        self.current.start()

    def let_go(self) -> None:
        """Let the newest engine end, if it was to: no driver holds it any more."""
        self.cannot_end = False
        if self._is_dying and self.current is not None:
            self.current.end()

    def kill(self, pid: int) -> str:
        """End it, if anything can; the daemon does so to one that hangs."""
        if self.current is not None and self._lives and not self.current.has_failed:
            self._watcher.killed_in_health()
        if self.current is not None and self._lives:
            self._watcher.health.killed(self.current)
            self.current.is_doomed = True
        self._is_dying = True
        self._end()
        return ""

    def listener(self, connection: object) -> int:
        """Return the engine that runs; all are inside this process."""
        return self._pid or 0

    def renew(self, pid: int) -> None:
        """End it: the daemon starts the next one."""
        self._end()

    def _end(self) -> None:
        if not self.cannot_end and self.current is not None:
            self.current.end()

    async def gone(self, pid: int) -> None:
        """Wait until it has ended."""
        if self._lives and self.current is not None and pid == self._pid:
            await self.current.has_ended.wait()

    async def ended(self, pid: int, number: signal.Signals, wait_s: float) -> bool:
        """Send a signal: both end it."""
        self._is_dying = self._is_dying or number == signal.SIGKILL
        if self._lives and (self.cannot_end or self._is_frozen(number)):
            await asyncio.sleep(wait_s)
            return False
        if self.current is not None:
            self.current.end()
        return True

    def _is_frozen(self, number: signal.Signals) -> bool:
        return number != signal.SIGKILL and self.current is not None and self.current.is_frozen

    async def reap(self, wait_s: float) -> None:
        """Wait for nothing, unless it cannot end: nothing is left of a process that is none."""
        if self._lives and self.cannot_end:
            await asyncio.sleep(wait_s)
