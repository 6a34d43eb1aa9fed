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
    """MQTT 5 first, 3.1.1 where the broker does not know it.

    A broker says so, which is remembered until the process ends; or it does not answer. That it
    also does when it is just being stopped: one time is no proof, and twice is a guess, so each
    further connection asks once for MQTT 5 before it is 3.1.1 again. Silence is no sign at all once
    a version was accepted that was not guessed.

    Args:
        configured: `auto`, or the only version to try.
    """

    def __init__(self, configured: Literal["auto", "5", "3.1.1"]) -> None:
        self.next: Protocol = "3.1.1" if configured == "3.1.1" else "5"
        self._is_free = configured == "auto"
        self._is_known = False
        self._is_guess = False
        self._unanswered = 0
        self._unanswered_max = UNANSWERED_MAX

    def accepted(self) -> None:
        """Note that the broker accepted the version."""
        self._unanswered = 0
        if self._is_guess and self.next == "3.1.1":
            self.next, self._unanswered_max = "5", 1
        else:
            self._is_known = True

    def refused(self) -> None:
        """Note that the broker said it does not know the version."""
        self._is_guess = False
        self._other()

    def unanswered(self) -> None:
        """Note that the broker closed the connection, or kept silent, instead of answering."""
        self._unanswered += 1
        if self._unanswered >= self._unanswered_max and not self._is_known:
            self._is_guess = self._is_free
            self._unanswered_max = UNANSWERED_MAX
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
