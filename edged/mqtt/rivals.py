"""Whether another client uses our client id, and when to leave it the field.

In:  how connections ended and whose sign they found, in order.     Out: whether there is a rival;
seconds to stay away.
Pure. A broker ends the older of two connections of one client id, so two boards of one name kick
each other out for ever. One that says so makes it certain. Else a rival is, where the `online` that
we had replaced is back at the broker, from a later connection of one and the same other process: no
bad network and no broker that forgot something writes that. Does not know: sockets, clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edged.mqtt.presence import Presence

# Source: MQTT 5, 4.13: a session that was taken over should not be taken back at once.
TAKEOVERS_MAX = 3
# Three in a row that were each over in this time: three within a minute.
FIGHT_S = 20.0
# mosquitto 2.0 only closes the socket. A rival that comes back at once does so much sooner. A bad
# network may look the same, so a guess alone is told and costs no rest: back-off spaces attempts.
GUESSED_FIGHT_S = 5.0
REST_S = 300.0


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended.

    Attributes:
        problem: in words.
        cause: the broker said that another client took the session over, or it closed the
            connection without a word, or anything else.
    """

    problem: str
    cause: Literal["taken over", "closed", "other"] = "other"


class Rivals:
    """Counts the connections in a row that another client seems to have ended.

    Args:
        instance: of our own process, as its signs have it.

    Attributes:
        looks: whether the next connection should look whose sign is there; it costs two packets.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._takeovers = 0
        self._was_told = False
        self._other: Presence | None = None
        self._has_met = False
        self.looks = False

    def sign(self, number: int) -> Presence:
        """Return our own sign for the connection of this number."""
        return Presence(self._instance, number)

    def met(self, presence: Presence | None) -> None:
        """Note whose sign a new connection found; only one that got on since the last tells."""
        if presence is None or presence.instance == self._instance:
            return
        before, self._other = self._other, presence
        if before is not None and before.instance == presence.instance:
            self._has_met = presence.number > before.number

    def served(self, end: End, lived_s: float) -> None:
        """Note the end of a connection that was subscribed for `lived_s`."""
        is_certain = end.cause == "taken over" or (end.cause == "closed" and self._has_met)
        told = is_certain and lived_s < FIGHT_S
        guessed = end.cause == "closed" and lived_s < GUESSED_FIGHT_S
        self._takeovers = self._takeovers + 1 if told or guessed else 0
        self._was_told = told
        self._has_met = False
        self.looks = end.cause == "closed"

    def failed(self) -> None:
        """Note an attempt that came to nothing: the trouble is the broker or the network."""
        self._takeovers = 0

    @property
    def is_suspected(self) -> bool:
        """Return whether somebody should look for another client of our name."""
        return self._takeovers >= TAKEOVERS_MAX

    @property
    def rest_s(self) -> float:
        """Return how long to leave the client id to the other client, s; 0 unless it is certain."""
        return REST_S if self.is_suspected and self._was_told else 0.0
