"""Whose `online` stands at the broker: a sign on each, by which a rival's is told from ours.

In:  a process, the number of its connection.     Out: a user property of MQTT 5, and back.
Pure. The payload stays the word that devices read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from edged.contract import Outbound

PROPERTY = "edged-instance"


@dataclass(frozen=True, slots=True)
class Presence:
    """Who said it.

    Attributes:
        instance: of the process; no two are the same.
        number: of its connection, from 1.
    """

    instance: str
    number: int

    def on(self, message: Outbound) -> Outbound:
        """Return the message with this sign on it."""
        sign = (PROPERTY, f"{self.instance}/{self.number}")
        return replace(message, user_properties=(*message.user_properties, sign))


def presence_of(user_properties: Iterable[tuple[str, str]]) -> Presence | None:
    """Return the sign among user properties, or None: an older board, a will, or MQTT 3.1.1."""
    instance, _, number = dict(user_properties).get(PROPERTY, "").rpartition("/")
    return Presence(instance, int(number)) if instance and number.isdecimal() else None
