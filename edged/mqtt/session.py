"""The board's session at the broker, kept over any number of connections.

In:  prompts from devices, as `Delivery` objects.     Out: PUBACKs, replies and status.
Runs on the event loop. Does not know: what is in a payload, what is stored. The guarantee starts
where the spool has stored a prompt: a broker that dies may lose what it had acknowledged to the
device (mosquitto 2.0 by default saves every 30 minutes).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from edged.config import Broker
from edged.contract import Outbound
from edged.errors import BrokerGone
from edged.journal import Event, about
from edged.mqtt.connection import Connection, Opened
from edged.mqtt.dial import Call, ProtocolRefused, Unanswered
from edged.mqtt.packets import Acknowledged, Delivery, Protocol, Will
from edged.mqtt.rivals import End, Rivals
from edged.mqtt.version import VersionChoice, backoff_s
from edged.time_floor import TimeFloor

log = logging.getLogger(__name__)

GROUP_MAX = 64
# The receive maximum keeps MQTT 5 under this; QoS 0 and 3.1.1 know no such brake. Holding PUBACKs
# back is no queue: mosquitto drops what comes after its 1,000 queued messages without a word.
BUFFER_MAX = 256
BUFFER_RESUMED = 64
# So many wait at most where one of QoS 0 may join them. Further ones are dropped here: while the
# socket is not read mosquitto drops what it has for the board, also PUBACKs and prompts of QoS 1.
BUFFER_UNACKNOWLEDGED_MAX = 192

STABLE_S = 30.0


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """How the board stands with its broker.

    Attributes:
        connected: subscribed, so that prompts arrive and replies leave.
        protocol: the MQTT version of the connection; None without one.
        problem: the last refusal, in words a person can act on; "" if there is none.
        session_present: whether the broker still had the session, and with it the prompts that
            waited; None without a connection.
        connections: how many the broker has accepted; the number of the newest.
    """

    connected: bool = False
    protocol: Protocol | None = None
    problem: str = ""
    session_present: bool | None = None
    connections: int = 0


class Session:
    """The board's MQTT session.

    Args:
        broker: where to connect, and as whom.
        client_id: names the session at the broker; no two clients may have the same.
        filters: topic filters to subscribe at every connect.
        will: published by the broker when the board vanishes.
        floor: what time it is at least, for certificates; None: as this machine's clock says.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        filters: tuple[str, ...],
        will: Will,
        floor: TimeFloor | None = None,
    ) -> None:
        self._broker = broker
        self._floor = floor
        self._client_id = client_id
        self._filters = filters
        self._will = will
        self._version = VersionChoice(broker.protocol)
        self._state = ConnectionState()
        self._change = asyncio.Event()
        self._numbers = itertools.count(1)
        self._connection: Connection | None = None
        self._buffer: deque[Delivery] = deque()
        self._has_arrived = asyncio.Event()
        self._rivals = Rivals(uuid.uuid4().hex)
        self._farewell: Outbound | None = None
        self._dropped = 0  # prompts of QoS 0, since the log told of them

    @property
    def state(self) -> ConnectionState:
        """Return how the board stands with its broker now."""
        return self._state

    @property
    def doubt(self) -> str:
        """Return what is to be said of the time of the broker's certificate; "" for nothing."""
        return "" if self._floor is None else self._floor.doubt

    @property
    def buffered(self) -> int:
        """Return how many prompts wait for `deliveries`."""
        return len(self._buffer)

    async def changed(self) -> None:
        """Wait for the next change of `state`, or the next attempt that failed."""
        await self._change.wait()

    async def connected(self) -> int:
        """Wait until subscribed and return the connection's number."""
        while not self._state.connected:
            await self.changed()
        return self._state.connections

    async def serves(self, connection: int) -> bool:
        """Wait until a connection is subscribed; return False once it has ended.

        A broker may send prompts as soon as it has accepted the connection, an answer to them can
        only leave when it is subscribed.
        """
        while connection > self._state.connections:
            if self._connection is None or self._connection.number != connection:
                return False
            await self.changed()
        return self._state.connected and connection == self._state.connections

    async def run(self) -> None:
        """Connect and serve, again and again; cancel it to leave.

        Leaving keeps the session: unread prompts wait at the broker. No will is published, unless
        there is a farewell that did not leave.
        """
        failures = 0
        try:
            while True:
                was_stable = await self._connect_once()
                failures = 0 if was_stable else failures + 1
                pause_s = backoff_s(failures, self._broker.reconnect_s_max)
                await asyncio.sleep(self._rivals.rest_s or pause_s)
        finally:
            self._become(ConnectionState(connections=self._state.connections))

    def leave_with(self, farewell: Outbound) -> None:
        """Say this last: directly before the DISCONNECT of the connection that stands then."""
        self._farewell = farewell

    async def deliveries(self) -> list[Delivery]:
        """Wait for prompts; return those at hand in arrival order, at most `GROUP_MAX`.

        After a broken connection the same prompt may come a second time. Whoever takes prompts
        must not wait for `publish` in between: when the buffer is full the socket is not read,
        and no PUBACK either.
        """
        while not self._buffer:
            self._has_arrived.clear()
            await self._has_arrived.wait()
        group = [self._buffer.popleft() for _ in range(min(GROUP_MAX, len(self._buffer)))]
        if len(self._buffer) < BUFFER_RESUMED:
            self._tell_dropped()
            if self._connection is not None:
                self._connection.resume()
        return group

    def _tell_dropped(self) -> None:
        """Say once for each flood how much of it nobody took."""
        if self._dropped:
            text = "%d prompts of QoS 0 came faster than they are taken and were dropped: use QoS 1"
            log.warning(text, self._dropped)
            self._dropped = 0

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Send PUBACKs in the given order, which must be that of arrival.

        Nothing happens for those of an earlier connection: the broker sends them again.
        Source: MQTT 5, 4.6.0-2 (order).
        """
        if self._connection is not None:
            self._connection.acknowledge(deliveries)

    async def publish(self, message: Outbound) -> Acknowledged:
        """Publish at QoS 1 and wait for the PUBACK.

        Raises:
            BrokerGone: not connected, or the connection ended first; the broker may then have the
                message all the same.
            ValueError: edged does not publish to such a topic.
        """
        if self._connection is None or not self._state.connected:
            raise BrokerGone("not connected to the broker")
        return await self._connection.publish(message)

    def publish_unacknowledged(self, message: Outbound) -> None:
        """Publish at QoS 0, for chunks; dropped when not connected."""
        if self._connection is not None and self._state.connected:
            self._connection.publish_unacknowledged(message)

    async def _connect_once(self) -> bool:
        """Open a connection and serve it to its end; return whether it was a stable one."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        end = await self._serve()
        lived_s = loop.time() - began_s
        was_served = self._state.connected
        if was_served:
            self._rivals.served(end, lived_s)
        else:
            self._rivals.failed()
        self._lost(end.problem + self._suspicion(end))
        return was_served and lived_s >= STABLE_S

    def _suspicion(self, end: End) -> str:
        """Return what to say of a client that seems to have our name; "" if there is none."""
        name = repr(self._client_id)
        if self._rivals.rest_s:
            # mosquitto 2.0 does not say 0x8E, session taken over; the rival's own words did.
            other = f": another client calls itself {name}, give each board its own node.name"
            told = "" if end.cause == "taken over" else other
            return f"{told}; it is left alone for {self._rivals.rest_s:.0f} s"
        if self._rivals.is_suspected:
            return f", soon each time: does another client call itself {name}?"
        return ""

    async def _serve(self) -> End:
        """Open a connection, wait for its end and return the reason."""
        protocol = self._version.next
        connection = self._connection = Connection(
            self._broker,
            client_id=self._client_id,
            protocol=protocol,
            will=self._will,
            numbers=self._numbers,
            arrived=self._arrived,
            rivals=self._rivals,
            call=Call(self._floor),
        )
        try:
            self._hold_back()
            opened = await connection.open(self._filters)
            self._version.accepted()
            self._served(opened, protocol)
            return await connection.ended()
        except BrokerGone as gone:
            # A DISCONNECT would take the will back, and an earlier `online` stand for ever.
            connection.drop(str(gone))
            self._note_version(gone)
            return End(str(gone))
        finally:
            await connection.close(self._farewell)
            self._connection = None

    def _arrived(self, delivery: Delivery) -> None:
        if not delivery.qos and len(self._buffer) >= BUFFER_UNACKNOWLEDGED_MAX:
            self._dropped += 1
            return
        self._buffer.append(delivery)
        self._has_arrived.set()
        self._hold_back()

    def _hold_back(self) -> None:
        if len(self._buffer) >= BUFFER_MAX and self._connection is not None:
            self._connection.pause()

    def _note_version(self, gone: BrokerGone) -> None:
        if isinstance(gone, ProtocolRefused):
            self._version.refused()
        elif isinstance(gone, Unanswered):
            self._version.unanswered()

    def _served(self, opened: Opened, protocol: Protocol) -> None:
        present, problem = opened.session_present, opened.problem
        if self._state.connections and not present:
            log.warning("the broker lost our session: prompts that waited there are gone")
        if problem and problem != self._state.problem:
            log.warning("%s", problem)
        fields = about(Event.BROKER_CONNECTED, protocol=protocol)
        log.info("connected to the broker, MQTT %s", protocol, extra=fields)
        self._become(ConnectionState(True, protocol, problem, present, opened.number))

    def _lost(self, problem: str) -> None:
        if problem != self._state.problem:
            log.warning("%s; trying again", problem, extra=about(Event.BROKER_LOST))
        connections = self._state.connections
        self._become(ConnectionState(problem=problem, connections=connections))

    def _become(self, state: ConnectionState) -> None:
        self._state = state
        self._change.set()
        self._change = asyncio.Event()
