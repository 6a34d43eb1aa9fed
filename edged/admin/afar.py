"""How another board of the site is, by its retained `state`.

In:  the broker's table, the board's topics.     Out: the state, and whether the board is online.
Blocking; it keeps no session at the broker.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from paho.mqtt.client import Client, MQTTMessage

from edged.config import Broker
from edged.errors import AdminUnreachable, BrokerGone
from edged.mqtt.dial import ProtocolRefused, dial, refused
from edged.mqtt.packets import Protocol
from edged.topics import Topics

LOOP_S = 0.1


def state_from_afar(broker: Broker, topics: Topics, wait_s: float = 5.0) -> dict[str, Any]:
    """Return the state that a board left at the broker.

    Raises:
        AdminUnreachable: the broker does not let us in, there is no such board, or it is offline.
    """
    try:
        heard = _heard(broker, topics, wait_s)
    except BrokerGone as gone:
        raise AdminUnreachable(str(gone)) from gone
    if topics.state not in heard:
        raise AdminUnreachable(
            f"{topics.state}: nothing is retained there; is the board's name right, has it ever "
            "been on this broker, and may this user read it?"
        )
    if heard.get(topics.availability) != b"online":
        raise AdminUnreachable(f"{topics.board} is offline; its last state is on {topics.state}")
    state: dict[str, Any] = json.loads(heard[topics.state])
    return state


def _heard(broker: Broker, topics: Topics, wait_s: float) -> dict[str, bytes]:
    """Return what is retained on a board's two topics, by topic."""
    protocol: Protocol = "3.1.1" if broker.protocol == "3.1.1" else "5"
    try:
        return _asked(broker, topics, wait_s, protocol)
    except ProtocolRefused:
        return _asked(broker, topics, wait_s, "3.1.1")


def _asked(broker: Broker, topics: Topics, wait_s: float, protocol: Protocol) -> dict[str, bytes]:
    client_id = f"edged-status-{os.getpid()}-{time.monotonic_ns():x}"
    brief = broker.model_copy(update={"session_expiry_s": 0})
    client = dial(brief, client_id, protocol, None, is_lasting=False)
    heard: dict[str, bytes] = {}
    refusals: list[BrokerGone] = []
    wanted = [topics.state, topics.availability]

    def on_connect(_: Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if reason.is_failure:
            refusals.append(refused(broker, protocol, reason))
        else:
            client.subscribe([(topic, 0) for topic in wanted])

    def on_message(_: Client, __: Any, message: MQTTMessage) -> None:
        heard[message.topic] = bytes(message.payload)

    client.on_connect, client.on_message = on_connect, on_message
    until_s = time.monotonic() + wait_s
    while len(heard) < len(wanted) and not refusals and time.monotonic() < until_s:
        if client.loop(LOOP_S):
            break
    client.disconnect()
    client.loop(LOOP_S)  # closes the socket
    if refusals:
        raise refusals[0]
    return heard
