"""One connection to the MQTT broker, from CONNECT to its end; never used a second time.

In:  packets from the broker, and what `Session` sends.     Out: `Delivery` objects, PUBACKs.
Runs on the event loop, which watches the socket and lets paho take its steps. Does not know:
back-off, what a prompt is. Each connection has a client of its own: one that lives on keeps the
messages that its `publish` said it had refused and sends them later, and takes the same packet ids
for other messages after the broker lost the session (measured, paho-mqtt 2.2.0).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from edged.config import Broker
from edged.contract import Outbound
from edged.errors import BrokerGone
from edged.mqtt import packets
from edged.mqtt.client import Client
from edged.mqtt.dial import Call, OwnThread, Unanswered, refused, send_at_once
from edged.mqtt.outgoing import Outgoing
from edged.mqtt.packets import Acknowledged, Delivery, Protocol, Will
from edged.mqtt.presence import presence_of
from edged.mqtt.publish import Arrived
from edged.mqtt.rivals import End, Rivals

log = logging.getLogger(__name__)

CONNACK_S = 5.0
SUBACK_S = 10.0
GOODBYE_S = 2.0
LOOK_S_MIN = 1.0  # between two looks whether a ping is due, or its answer missing
PACKETS_AT_ONCE = 64  # are read before the event loop goes its round

# Source: MQTT 5, table 2-6.
_SESSION_TAKEN_OVER = 0x8E
# What paho 2.2 makes of a connection that the other side ended without a DISCONNECT.
_CLOSED = "Unspecified error"


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that stands.

    Attributes:
        session_present: whether the broker still had the session.
        problem: what is wrong with the subscriptions all the same; "" if nothing.
    """

    number: int
    session_present: bool
    problem: str


class Connection:
    """A connection.

    Args:
        broker: where to connect, and as whom.
        client_id: names the session at the broker.
        protocol: the MQTT version spoken.
        will: published by the broker if this connection breaks.
        numbers: gives the connection its number at CONNACK.
        arrived: called for each PUBLISH, in order.
        rivals: signs each `online`, on MQTT 5, and hears whose sign stood at the broker before.
        call: dials, in a thread.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        protocol: Protocol,
        will: Will,
        numbers: Iterator[int],
        arrived: Callable[[Delivery], None],
        rivals: Rivals,
        call: Call,
    ) -> None:
        self._protocol = protocol
        self._number: int | None = None
        self._broker = broker
        self._client_id = client_id
        self._will = will
        self._numbers = numbers
        self._arrived = arrived
        self._rivals = rivals
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._connack: asyncio.Future[tuple[int, bool]] = self._loop.create_future()
        self._suback: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
        self._ended: asyncio.Future[End] = self._loop.create_future()
        self._client: Client | None = None
        self._socket: paho.SocketLike | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._taken = 0
        self._unacknowledged: dict[int, Delivery] = {}
        self._outgoing: Outgoing | None = None

    @property
    def number(self) -> int | None:
        """Return which of the board's connections it is; None before CONNACK."""
        return self._number

    async def open(self, filters: tuple[str, ...]) -> Opened:
        """Connect and subscribe to `filters`.

        Raises:
            BrokerGone: no connection, with the reason in words; `ProtocolRefused` and
                `Unanswered` tell that the version of MQTT may be why.
        """
        self._take_over(await self._dialled())
        try:
            async with asyncio.timeout(CONNACK_S):
                number, session_present = await self._connack
        except TimeoutError as error:
            raise Unanswered(f"{self._broker.where} accepts but does not answer CONNECT") from error
        try:
            async with asyncio.timeout(SUBACK_S):
                problem = await self._subscribe(filters)
        except TimeoutError as error:
            raise BrokerGone(f"{self._broker.where} does not answer SUBSCRIBE") from error
        return Opened(number, session_present, problem)

    async def _dialled(self) -> Client:
        arguments = (self._broker, self._client_id, self._protocol, self._will)
        try:
            return await self._loop.run_in_executor(OwnThread(), self._call.dial, *arguments)
        except asyncio.CancelledError:
            self._call.hang_up()
            raise

    async def ended(self) -> End:
        """Wait for the end of the connection and return its reason."""
        return await asyncio.shield(self._ended)

    async def close(self, farewell: Outbound | None = None) -> None:
        """Say `farewell` and then DISCONNECT, after all that was sent before.

        DISCONNECT takes the will back. So it only goes behind `farewell`, or asks for the will; and
        where it does not leave in time, the end of the socket does. The broker keeps the session
        and with it the prompts that nobody acknowledged.
        """
        if self._client is not None and self._outgoing is not None and not self._ended.done():
            if farewell is None or self._outgoing.publish_last(farewell):
                self._client.disconnect()
            else:
                self._client.disconnect(packets.with_will())
            await asyncio.wait([self._ended], timeout=GOODBYE_S)
        self.drop("the connection was closed")

    def drop(self, problem: str) -> None:
        """Close the socket without a word: the broker publishes the will, if nobody comes back."""
        self._end(problem)

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Send the PUBACKs in this order, each once; none for QoS 0 or another connection's.

        A packet id of an earlier connection may by now be that of a new prompt, which would be
        lost if it were acknowledged (measured, paho-mqtt 2.2.0).
        """
        own = [one for one in deliveries if one.connection == self._number]
        due = [one for one in own if self._unacknowledged.pop(one.packet, None) is not None]
        if due and self._client is not None and not self._ended.done():
            self._client.acknowledge(due)

    async def publish(self, message: Outbound) -> Acknowledged:
        """Publish at QoS 1 and wait for the PUBACK.

        Raises:
            BrokerGone: the connection ended first; the broker may or may not have the message.
            ValueError: edged does not publish to such a topic.
        """
        if self._outgoing is None:
            raise BrokerGone("not connected to the broker")
        return await self._outgoing.publish(message)

    def publish_unacknowledged(self, message: Outbound) -> None:
        """Publish at QoS 0; dropped when the connection ended or its socket is clogged."""
        if self._outgoing is not None:
            self._outgoing.publish_unacknowledged(message)

    def pause(self) -> None:
        """Stop reading the socket, so that TCP holds the broker back.

        If that lasts longer than the keep alive, the PINGRESP is not seen either and the
        connection ends; what was not acknowledged then comes again.
        """
        if not self._is_paused and self._socket is not None:
            self._loop.remove_reader(self._socket)
        self._is_paused = True

    def resume(self) -> None:
        """Read the socket again."""
        if self._is_paused and self._socket is not None:
            self._loop.add_reader(self._socket.fileno(), self._read)
            # Bytes that were read or decrypted already do not make the socket readable.
            self._loop.call_soon(self._read)
        self._is_paused = False

    # Opening, in the order of the packets.

    def _take_over(self, client: Client) -> None:
        """Drive the client from the event loop from here on."""
        self._client, self._socket = client, client.socket()
        if self._socket is None:
            self._end(f"the connection to {self._broker.where} broke")
            return
        send_at_once(self._socket)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.arrived = self._on_arrived
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = lambda *_: self._unhook()
        client.on_socket_register_write = lambda *_: self._watch_writable()
        client.on_socket_unregister_write = lambda *_: self._unwatch_writable()
        if client.want_write():
            self._watch_writable()
        if not self._is_paused:
            self._loop.add_reader(self._socket.fileno(), self._read)
        self._keep_alive()

    def _on_connect(
        self, _: Any, __: Any, flags: paho.ConnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            _fail(self._connack, refused(self._broker, self._protocol, reason))
        elif self._client is not None and not self._connack.done():
            self._number = next(self._numbers)
            self._client.keep_alive_within(self._broker.keepalive_s)
            self._look_later()
            limits = packets.limits(properties)
            self._outgoing = Outgoing(self._client, self._protocol, limits, self._signed)
            self._connack.set_result((self._number, flags.session_present))

    async def _subscribe(self, filters: tuple[str, ...]) -> str:
        """Subscribe whether or not the session is there: cheap, and heals a lost one."""
        if self._client is None or not filters:
            return ""
        looks = self._rivals.looks and self._protocol == "5"
        look = [packets.one_look(self._will.topic)] if looks else []
        self._client.subscribe([*packets.subscriptions(filters, self._protocol), *look])
        codes = await self._suback
        if looks:
            self._client.unsubscribe(self._will.topic)
        return packets.refused_filters(filters, codes)

    def _on_subscribe(self, _: Any, __: Any, ___: int, codes: list[ReasonCode], ____: Any) -> None:
        if not self._suback.done():
            self._suback.set_result(codes)

    # The packets of a standing connection.

    def _read(self) -> None:
        self._drive(self._take_packets)

    def _take_packets(self, client: Client) -> None:
        """Take packets as long as there are whole ones; a round of the event loop costs more."""
        for _ in range(PACKETS_AT_ONCE):
            if self._is_paused or self._ended.done():
                return
            taken = self._taken
            client.loop_read()
            if self._taken == taken:  # whoever waits for a rarer packet goes first
                break
        if self._taken != taken or client.has_unread:
            self._loop.call_soon(self._read)

    def _keep_alive(self) -> None:
        """Let paho ping or give up; a broker that vanished is noticed within two keep alives."""
        self._drive(lambda client: client.loop_misc())
        self._look_later()

    def _look_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._client is not None and not self._ended.done():
            look_s = max(LOOK_S_MIN, self._client.keepalive / 4)
            self._timer = self._loop.call_later(look_s, self._keep_alive)

    def _drive(self, step: Callable[[Client], object]) -> None:
        """Let paho take a step; whatever it raises, which is a bug, ends this connection.

        paho keeps a packet that it could not finish and takes it up again at the next step, which
        would be at once and for ever (measured: 52,000 times a second, paho-mqtt 2.2.0).
        """
        if self._client is not None:
            with contextlib.ExitStack() as on_error:
                on_error.callback(self._end, "an error while a packet was read, see the log")
                step(self._client)
                on_error.pop_all()

    def _on_arrived(self, arrived: Arrived) -> None:
        self._taken += 1
        if self._number is None:
            return
        inbound = arrived.inbound
        if inbound.topic == self._will.topic:  # asked for at QoS 0: there is nothing to acknowledge
            if inbound.retained:
                self._rivals.met(presence_of(inbound.user_properties))
            return
        delivery = Delivery(inbound, self._number, arrived.packet, arrived.qos)
        if delivery.qos:
            self._unacknowledged[delivery.packet] = delivery
        self._arrived(delivery)

    def _on_publish(self, _: Any, __: Any, packet: int, reason: ReasonCode, ___: Any) -> None:
        self._taken += 1
        if self._outgoing is not None:
            self._outgoing.acknowledged(packet, reason)

    def _signed(self, message: Outbound) -> Outbound:
        """Return a message with our sign, where it says whether the board is there."""
        if message.topic != self._will.topic or self._number is None:
            return message
        return self._rivals.sign(self._number).on(message)

    # The end.

    def _on_disconnect(
        self, _: Any, __: Any, flags: paho.DisconnectFlags, reason: ReasonCode, ___: Any
    ) -> None:
        if not flags.is_disconnect_packet_from_server:
            cause: Literal["closed", "other"] = "closed" if reason == _CLOSED else "other"
            self._end(f"the connection to {self._broker.where} broke: {reason}", cause)
        elif reason.value == _SESSION_TAKEN_OVER:
            advice = "give each board its own node.name"
            problem = f"another client took over the client id {self._client_id!r}: {advice}"
            self._end(problem, "taken over")
        else:
            self._end(f"the broker ended the connection: {reason}")

    def _end(self, problem: str, cause: Literal["taken over", "closed", "other"] = "other") -> None:
        """Close the socket and fail what waits; paho may report an end twice."""
        if self._ended.done():
            return
        self._ended.set_result(End(problem, cause))
        if self._timer is not None:
            self._timer.cancel()
        _fail(self._connack, Unanswered(f"{problem} before the broker answered CONNECT"))
        _fail(self._suback, BrokerGone(problem))
        if self._outgoing is not None:
            self._outgoing.end(problem)
        connected = self._socket
        self._unhook()
        if connected is not None:
            connected.close()

    def _unhook(self) -> None:
        """Forget the socket; its number may soon be that of another file."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._socket = None

    def _watch_writable(self) -> None:
        if self._socket is not None:
            # By its number: for an object that is not there yet asyncio writes a description.
            self._loop.add_writer(self._socket.fileno(), self._drive, Client.loop_write)

    def _unwatch_writable(self) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket)


def _fail(future: asyncio.Future[Any], error: BrokerGone) -> None:
    """Let whoever waits have the error; nobody waiting is not an error of its own."""
    if not future.done():
        future.set_exception(error)
        future.exception()
