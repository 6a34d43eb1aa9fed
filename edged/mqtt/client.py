"""paho's client as the board uses it: many packets in one system call, prompts read at once.

In:  bytes of the socket.     Out: `Arrived`; paho's callbacks for all else; PUBACKs.
paho asks the socket for each piece of a packet, three or four times for one prompt, and writes each
PUBACK by itself. Only a malformed prompt, or the pieces of one, get to paho. The methods that are
overridden are paho's inner ones: tests hold what they do.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Sequence

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from edged.mqtt import publish
from edged.mqtt.packets import Delivery, Protocol, inbound
from edged.mqtt.publish import Arrived

# So many at least are asked for: a group of small prompts is a few of these.
READ_BYTES = 8192
# Source: MQTT 5, 3.4 and 3.7: two bytes follow; without a reason code it is "success".
_ACKNOWLEDGEMENT = struct.Struct("!BBH")
_KINDS = {1: paho.PUBACK, 2: paho.PUBCOMP}


class Client(paho.Client):
    """A paho client.

    Attributes:
        arrived: called for each PUBLISH, in order; unset, paho's `on_message` is.
    """

    arrived: Callable[[Arrived], None] | None = None
    _unread = b""

    @property
    def has_unread(self) -> bool:
        """Return whether there are bytes that the event loop does not see at the socket.

        Source: docs.python.org, ssl, "Notes on non-blocking sockets".
        """
        connected = self.socket()
        has_decrypted = isinstance(connected, ssl.SSLSocket) and connected.pending() > 0
        return bool(self._unread) or has_decrypted

    def keep_alive_within(self, longest_s: int) -> None:
        """Ping as often as the broker wants, and at least each `longest_s`.

        It may want no ping at all, and paho takes its 0 over. More pings are allowed.
        Source: MQTT 5, 3.2.2.3.14 (Server Keep Alive), 3.1.2.10.
        """
        self._keepalive = min(self._keepalive or longest_s, longest_s)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Send the acknowledgements in this order, in one write."""
        packed = b"".join(
            _ACKNOWLEDGEMENT.pack(_KINDS[one.qos], 2, one.packet) for one in deliveries
        )
        self._packet_queue(paho.PUBACK, packed, mid=0, qos=1)

    def _packet_read(self) -> MQTTErrorCode:
        # A packet that paho has begun is paho's to finish.
        whole = None if self._in_packet["command"] else publish.first(self._unread)
        if whole is None or (arrived := self._arrived(self._unread[0], whole.body)) is None:
            return super()._packet_read()
        self._unread = self._unread[whole.size_bytes :]
        return self._hand_on(arrived)

    def _handle_publish(self) -> MQTTErrorCode:
        packet = self._in_packet
        arrived = self._arrived(packet["command"], bytes(packet["packet"]))
        return super()._handle_publish() if arrived is None else self._hand_on(arrived)

    def _arrived(self, command: int, body: bytes) -> Arrived | None:
        """Return the message in a PUBLISH; None where it is for paho to read."""
        protocol: Protocol = "5" if self._protocol == paho.MQTTv5 else "3.1.1"
        return None if self.arrived is None else publish.read(command, body, protocol)

    def _hand_on(self, arrived: Arrived) -> MQTTErrorCode:
        if self.arrived is not None:
            self.arrived(arrived)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_on_message(self, message: paho.MQTTMessage) -> None:
        if self.arrived is None:
            super()._handle_on_message(message)
        else:
            self.arrived(Arrived(inbound(message), message.mid, message.qos))

    def _sock_recv(self, bufsize: int) -> bytes:
        if self.arrived is None and not self._unread:
            return super()._sock_recv(bufsize)  # paho's own loop looks at the socket alone
        if not self._unread:
            self._unread = super()._sock_recv(max(bufsize, READ_BYTES))
        piece, self._unread = self._unread[:bufsize], self._unread[bufsize:]
        return piece

    def _create_unix_socket_connection(self) -> socket.socket:
        # paho 2.2.0 forgets to close one that it could not connect.
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self._host)
        except OSError:
            connection.close()
            raise
        return connection
