"""systemd's view of the daemon: READY, the STATUS line, and the watchdog.

In:  words of the daemon.     Out: datagrams to $NOTIFY_SOCKET; nothing in a shell.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edged.notify import notifier

# Source: sd_notify(3), EXTEND_TIMEOUT_USEC; asked for again well before it has passed.
ASK_S, ASK_EVERY_S = 60, 10.0


class Service:
    """Speaks sd_notify."""

    def __init__(self) -> None:
        self._notifier = notifier()
        self._line = ""

    @asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """Ask for more time while the spool is opened: checking it, or waiting for disk space."""
        asking = asyncio.create_task(self._ask_for_time())
        try:
            yield
        finally:
            asking.cancel()

    async def _ask_for_time(self) -> None:
        while True:
            self._notifier.notify(f"EXTEND_TIMEOUT_USEC={ASK_S * 1_000_000}")
            await asyncio.sleep(ASK_EVERY_S)

    def ready(self) -> None:
        """The spool is open: prompts that were accepted are safe, whatever else is missing."""
        self._notifier.notify("READY=1")

    def stopping(self) -> None:
        """The daemon ends."""
        self._notifier.notify("STOPPING=1")

    def status(self, line: str) -> None:
        """Show a line in `systemctl status`."""
        if line != self._line:
            self._line = line
            self._notifier.notify(f"STATUS={line}")

    async def feed_watchdog(self) -> None:
        """Feed the watchdog from the event loop: a loop that stands still feeds nothing.

        An idle, loading, dead or unkillable engine does not stop it: its supervision runs here too,
        and a supervision that fails ends the daemon.
        Source: sd_watchdog_enabled(3): notify at half of WATCHDOG_USEC.
        """
        interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        if not interval_us:
            return
        while True:
            self._notifier.notify("WATCHDOG=1")
            await asyncio.sleep(interval_us / 2 / 1e6)
