"""systemd's ear: datagrams to $NOTIFY_SOCKET, and nothing in a shell."""

from __future__ import annotations

import os
from typing import Protocol

import sdnotify


class Notifier(Protocol):
    """Tells systemd something."""

    def notify(self, state: str) -> None:
        """Tell it; Source: sd_notify(3), the assignments."""


class _Nobody:
    """Nobody listens."""

    def notify(self, state: str) -> None:
        """Say nothing."""


def notifier() -> Notifier:
    """Return who tells systemd; sdnotify (0.3.2) leaves a socket open where nobody listens."""
    return sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else _Nobody()
