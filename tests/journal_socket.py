"""A datagram socket that stands where journald's does, and reads what it would read."""

from __future__ import annotations

import os
import queue
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

DEADLINE_S = 60.0
RECEIVED_BYTES_MAX = 1 << 20
Fields = dict[str, str]


class JournalSocket:
    """Listens at a path; one datagram, or the sealed file that came with one, is one record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(DEADLINE_S)

    def __enter__(self) -> JournalSocket:
        """Listen."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and leave the path free."""
        self._socket.close()
        self.path.unlink()

    def next(self) -> Fields:
        """Return the fields of the next record."""
        data, files, _, _ = socket.recv_fds(self._socket, RECEIVED_BYTES_MAX, 1)
        for file in files:
            with os.fdopen(file, "rb") as sealed:
                sealed.seek(0)
                data = sealed.read()
        return dict(fields(data))

    def waiting(self) -> list[Fields]:
        """Return the records that have arrived already."""
        self._socket.setblocking(False)
        heard = []
        with suppress(BlockingIOError):
            while True:
                heard.append(self.next())
        self._socket.settimeout(DEADLINE_S)
        return heard


class JournalReader:
    """Reads at a path as fast as journald does, and keeps what it read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[Fields] = []
        self._new: queue.Queue[Fields] = queue.Queue()
        self._socket = JournalSocket(path)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> JournalReader:
        """Read until the end of the context."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Read what is left, and stop."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"MESSAGE=end\n", str(self.path))
        self._thread.join(DEADLINE_S)
        self._socket.__exit__()

    def _read(self) -> None:
        for record in iter(self._socket.next, {"MESSAGE": "end"}):
            self._new.put(record)

    def until(self, **wanted: str) -> Fields:
        """Return the next record, of those not returned before, that has these fields."""
        while True:
            record = self._new.get(timeout=DEADLINE_S)
            self.heard.append(record)
            if wanted.items() <= record.items():
                return record


def fields(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the fields of a record in the native protocol.

    Source: systemd, "Native Journal Protocol": name, `=`, value and a line's end; or name, a line's
    end, the length in 64 bits, little endian, the value, a line's end.
    """
    while data:
        line, _, rest = data.partition(b"\n")
        name, has_value, value = line.partition(b"=")
        if not has_value:
            (length,) = struct.unpack_from("<Q", rest)
            value, end, rest = (
                rest[8 : 8 + length],
                rest[8 + length : 9 + length],
                rest[9 + length :],
            )
            assert end == b"\n", data
        yield name.decode(), value.decode()
        data = rest
