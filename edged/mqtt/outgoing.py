"""What a connection sends: at QoS 1 a window of messages, each until its PUBACK, and QoS 0.

In:  `Outbound`, and PUBACKs.     Out: PUBLISH packets, by paho; `Acknowledged`.
Runs on the event loop; lives from CONNACK to the end of its connection. Does not know: sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from paho.mqtt.reasoncodes import ReasonCode

from edged.contract import Outbound
from edged.errors import BrokerGone
from edged.mqtt import packets
from edged.mqtt.client import Client
from edged.mqtt.packets import Acknowledged, Limits, Protocol

log = logging.getLogger(__name__)

UNWRITTEN_MAX = 256  # QoS 0 messages that wait for a slow socket; further ones are dropped

# Source: MQTT 5, table 2-6.
_NO_MATCHING_SUBSCRIBERS = 0x10


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
        self._pending: dict[int, asyncio.Future[Acknowledged]] = {}
        self._unwritten: set[int] = set()
        self._problem: str | None = None

    async def publish(self, message: Outbound) -> Acknowledged:
        """Publish at QoS 1 and wait for the PUBACK.

        Raises:
            BrokerGone: the connection ended first; the broker may or may not have the message.
            ValueError: edged does not publish to such a topic.
        """
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
        if self._problem is not None or len(self._unwritten) >= UNWRITTEN_MAX:
            return
        topic, properties = packets.topic_out(message), self._properties(message)
        if packets.fits(message, properties, self._packet_bytes_max):
            sent = self._client.publish(topic, message.payload, 0, message.retain, properties)
            self._unwritten.add(sent.mid)

    def acknowledged(self, packet: int, reason: ReasonCode) -> None:
        """Note a PUBACK; at QoS 0, that the packet was written to the socket."""
        self._unwritten.discard(packet)
        pending = self._pending.pop(packet, None)
        if pending is None or pending.done():
            return
        if reason.is_failure:
            # Sending it again would be refused again, and its sender must not wait for ever.
            log.error("the broker refused a message (%s): check its access list", reason)
        claimed = not reason.is_failure and reason.value != _NO_MATCHING_SUBSCRIBERS
        pending.set_result(Acknowledged(claimed))

    def end(self, problem: str) -> None:
        """Fail what waits, and what comes."""
        self._problem = problem
        for pending in self._pending.values():
            if not pending.done():
                pending.set_exception(BrokerGone(problem))
                pending.exception()  # nobody waiting is not an error of its own

    def _send(self, message: Outbound) -> asyncio.Future[Acknowledged]:
        if self._problem is not None:
            raise BrokerGone("not connected to the broker")
        message = self._sign(message)
        topic, properties = packets.topic_out(message), self._properties(message)
        pending: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        if packets.fits(message, properties, self._packet_bytes_max):
            sent = self._client.publish(topic, message.payload, 1, message.retain, properties)
            self._pending[sent.mid] = pending
        else:
            log.error("%s: larger than the broker accepts (max_packet_size), not sent", topic)
            pending.set_result(Acknowledged(claimed=False))
        return pending

    def _properties(self, message: Outbound) -> packets.Packed | None:
        return packets.publish_properties(message) if self._protocol == "5" else None
