"""The engine's end of one daemon's connection, for writing.

In:  frames from the other threads.     Out: bytes on the socket.
A daemon that has gone or stopped reading is not an error here: the intake thread sees its end.
"""

from __future__ import annotations

import socket
import threading

from edged.engine.frames import Frame, encode

# A daemon that reads nothing for so long is gone; until then the socket's buffer fills.
SEND_S_MAX = 5.0


class Outlet:
    """Writes whole frames, one thread at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._turn = threading.Lock()

    def send(self, *frames: Frame) -> None:
        """Send frames in one write; where that fails, end the connection for its reader to see."""
        with self._turn:
            try:
                self._connection.sendall(b"".join(map(encode, frames)))
            except OSError:
                self._shut()

    def close(self) -> None:
        """End the connection."""
        self._shut()
        self._connection.close()

    def _shut(self) -> None:
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was quicker
