"""Frames as they arrive at the engine: all that one read brings.

In:  a blocking socket.     Out: frames, or that the other side closed it.
A daemon asks about a burst of prompts in one write; a read for each of them, and a thread that is
woken for each, cost ten times what the answer does.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from edged.engine.frames import FRAME_BYTES_MAX, LENGTH, Frame, decode
from edged.engine.protocol import Foreign
from edged.errors import EngineLost

READ_BYTES = 2**16


class Arrivals:
    """The reading side of a connection; a frame that came in part waits for its rest."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = bytearray()

    def read(self) -> list[Frame | Foreign] | None:
        """Wait for bytes; return the frames that are whole by then, None where there is an end.

        Raises:
            EngineLost: the stream carries something else.
        """
        try:
            piece = self._connection.recv(READ_BYTES)
        except OSError:
            return None
        self._unread += piece
        return list(self._whole()) if piece else None

    def _whole(self) -> Iterator[Frame | Foreign]:
        while len(self._unread) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._unread)
            if length > FRAME_BYTES_MAX:
                raise EngineLost(f"a frame of {length} bytes is over {FRAME_BYTES_MAX}")
            end = LENGTH.size + length
            if len(self._unread) < end:
                return
            body = bytes(self._unread[LENGTH.size : end])
            del self._unread[:end]
            yield decode(body)
