"""What a connection sends: at QoS 1 a window of messages, each until its PUBACK, and QoS 0.

In:  `Outbound`, and PUBACKs.     Out: PUBLISH packets, by paho; `Acknowledged`.
Runs on the event loop; lives from CONNACK to the end of its connection. Does not know: sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Literal

from paho.mqtt.reasoncodes import ReasonCode

from edged.contract import Outbound
from edged.errors import BrokerGone
from edged.mqtt import packets
from edged.mqtt.client import Client
from edged.mqtt.packets import Acknowledged, Limits, Protocol

log = logging.getLogger(__name__)

UNWRITTEN_MAX = 256  # QoS 0 messages that wait for a slow socket; further ones are dropped

# A message that was refused for a full quota, or for no reason that says it is for good.
AGAIN_MAX = 3
AGAIN_S = 5.0

# Source: MQTT 5, table 3-4.
_NO_MATCHING_SUBSCRIBERS = 0x10
# Not authorized, topic name invalid, payload format invalid.
_FINAL = frozenset({0x87, 0x90, 0x99})


class Outgoing:
    """The messages of one connection.

    Args:
        client: sends them.
        protocol: of the connection.
        limits: what the broker takes.
        sign: puts our sign on a message that is to have it.
    """

    def __init__(
        self,
        client: Client,
        protocol: Protocol,
        limits: Limits,
        sign: Callable[[Outbound], Outbound],
    ) -> None:
        self._client = client
        self._protocol = protocol
        self._packet_bytes_max = limits.packet_bytes_max
        self._sign = sign
        self._window = asyncio.Semaphore(limits.window)
        self._pending: dict[int, asyncio.Future[ReasonCode | None]] = {}
        self._unwritten: set[int] = set()
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def publish(self, message: Outbound) -> Acknowledged:
        """Publish at QoS 1 and wait for the PUBACK.

        What the broker refuses for a reason that may pass it gets again, `AGAIN_MAX` times.

        Raises:
            BrokerGone: the connection ended first; the broker may or may not have the message.
            ValueError: edged does not publish to such a topic.
        """
        reason = await self._attempt(message)
        for _ in range(AGAIN_MAX):
            if reason is None or not reason.is_failure or reason.value in _FINAL:
                break
            await asyncio.wait([self._gone], timeout=AGAIN_S)
            reason = await self._attempt(message)
        if reason is None:
            return Acknowledged(claimed=False)
        if reason.is_failure:
            # Its sender must not wait for ever.
            log.error("the broker refused a message (%s): check its access list", reason)
        return Acknowledged(not reason.is_failure and reason.value != _NO_MATCHING_SUBSCRIBERS)

    async def _attempt(self, message: Outbound) -> ReasonCode | None:
        """Send a message in its turn and return what the PUBACK says; None: it is too large."""
        await self._window.acquire()
        with contextlib.ExitStack() as on_error:
            on_error.callback(self._window.release)
            pending = self._send(message)
            on_error.pop_all()
        # The place in the window belongs to the packet; its sender may be cancelled.
        pending.add_done_callback(lambda _: self._window.release())
        return await asyncio.shield(pending)

    def publish_unacknowledged(self, message: Outbound) -> None:
        """Publish at QoS 0; dropped when the connection ended or its socket is clogged."""
        if self._gone.done() or len(self._unwritten) >= UNWRITTEN_MAX:
            return
        packet = self._put(message, qos=0)
        if packet is not None:
            self._unwritten.add(packet)

    def publish_last(self, message: Outbound) -> bool:
        """Publish behind all that was sent, past all that waits.

        At QoS 1, which also reaches who is away, where there is room in the broker's window. Return
        False where the broker takes no packet of this size.
        """
        qos: Literal[0, 1] = 0 if self._window.locked() else 1
        return self._put(self._sign(message), qos) is not None

    def acknowledged(self, packet: int, reason: ReasonCode) -> None:
        """Note a PUBACK; at QoS 0, that the packet was written to the socket."""
        self._unwritten.discard(packet)
        pending = self._pending.pop(packet, None)
        if pending is None or pending.done():
            return
        pending.set_result(reason)

    def end(self, problem: str) -> None:
        """Fail what waits, and what comes."""
        self._gone.set_result(None)
        for pending in self._pending.values():
            if not pending.done():
                pending.set_exception(BrokerGone(problem))
                pending.exception()  # nobody waiting is not an error of its own

    def _send(self, message: Outbound) -> asyncio.Future[ReasonCode | None]:
        if self._gone.done():
            raise BrokerGone("not connected to the broker")
        pending: asyncio.Future[ReasonCode | None] = asyncio.get_running_loop().create_future()
        packet = self._put(self._sign(message), qos=1)
        if packet is None:
            log.error(
                "%s: larger than the broker accepts (max_packet_size), not sent", message.topic
            )
            pending.set_result(None)
        else:
            self._pending[packet] = pending
        return pending

    def _put(self, message: Outbound, qos: Literal[0, 1]) -> int | None:
        """Hand a message to paho and return its packet id; None: larger than the broker takes."""
        topic = packets.topic_out(message)
        properties = packets.publish_properties(message) if self._protocol == "5" else None
        if not packets.fits(message, properties, self._packet_bytes_max):
            return None
        return self._client.publish(topic, message.payload, qos, message.retain, properties).mid
