"""systemd's view of the daemon: READY, the STATUS line, and the watchdog.

In:  words of the daemon.     Out: datagrams to $NOTIFY_SOCKET; nothing in a shell.
"""

from __future__ import annotations

import asyncio
import os

import sdnotify


class Service:
    """Speaks sd_notify."""

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier()
        self._line = ""

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
