"""Which version of MQTT to try next, and how long to wait before that.

In:  how the last attempt ended.     Out: a version; seconds.
Pure but for the random numbers of the jitter. Does not know: sockets.
"""

from __future__ import annotations

import random
from typing import Literal

from edged.mqtt.packets import Protocol

BACKOFF_S_MIN = 0.5
UNANSWERED_MAX = 2


class VersionChoice:
    """MQTT 5 first, 3.1.1 where the broker does not know it; remembered until the process ends.

    A broker says so, or does not answer; that it also does when it is just being stopped, so one
    time is no proof, and none at all once a version was accepted.

    Args:
        configured: `auto`, or the only version to try.
    """

    def __init__(self, configured: Literal["auto", "5", "3.1.1"]) -> None:
        self.next: Protocol = "3.1.1" if configured == "3.1.1" else "5"
        self._is_free = configured == "auto"
        self._was_accepted = False
        self._unanswered = 0

    def accepted(self) -> None:
        """Note that the broker accepted the version."""
        self._was_accepted = True
        self._unanswered = 0

    def refused(self) -> None:
        """Note that the broker said it does not know the version."""
        self._other()

    def unanswered(self) -> None:
        """Note that the broker closed the connection, or kept silent, instead of answering."""
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_MAX and not self._was_accepted:
            self._other()

    def _other(self) -> None:
        self._unanswered = 0
        if self._is_free:
            self.next = "3.1.1" if self.next == "5" else "5"


def backoff_s(failures: int, longest_s: float) -> float:
    """Return how long to wait before the next attempt, s: doubling, with full jitter.

    Full jitter spreads the boards of a site that all lost the same broker.

    Args:
        failures: attempts in a row that did not lead to a stable connection.
        longest_s: bound of the wait.
    """
    return random.uniform(0.0, min(longest_s, BACKOFF_S_MIN * 2.0 ** min(failures, 16)))
