"""MQTT for the board: one lasting `Session` over any number of connections.

Reading order: session (back-off, buffer, state), rivals (other clients of our name), connection
(the socket on the event loop), outgoing (what it sends), dial (what blocks: files, names, TCP,
TLS), client (paho's, with fewer system calls), publish (a prompt's packet), packets (paho's types
and edged's).
"""

from edged.mqtt.packets import Acknowledged, Delivery, Will
from edged.mqtt.session import ConnectionState, Session

__all__ = ["Acknowledged", "ConnectionState", "Delivery", "Session", "Will"]
