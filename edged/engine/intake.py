"""Takes the daemon's connection and reads its frames, whatever step is running.

In:  the listening socket.     Out: limits and permits to the inbox, at once: a lease waits for
nothing; work, measures and cancels to the preparation.
Threads: this is the intake thread. One daemon at a time: a new connection takes the place of the
old one.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import time
from collections.abc import Sequence

from edged.engine.arrivals import Arrivals
from edged.engine.frames import Cancel, Frame, Go, Hello, Limits, Measure, Work
from edged.engine.inbox import Attached, Detached, Inbox
from edged.engine.link import Link
from edged.engine.outlet import SEND_S_MAX, Outlet
from edged.engine.preparation import Preparation
from edged.engine.protocol import PROTOCOL_VERSION, Foreign, speaks, too_far
from edged.errors import EngineLost

log = logging.getLogger(__name__)


class Intake:
    """The reading side of the engine's socket."""

    def __init__(
        self, listener: socket.socket, link: Link, inbox: Inbox, preparation: Preparation
    ) -> None:
        self._listener = listener
        self._link = link
        self._inbox = inbox
        self._preparation = preparation
        self._connection: socket.socket | None = None
        self._arrivals: Arrivals | None = None
        self._outlet: Outlet | None = None
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve daemons until `close`."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._wake_reader in ready:
                break
            if self._connection in ready:
                self._read()
            if self._listener in ready:
                self._accept()
        self._drop_daemon()
        self._selector.close()
        self._wake_reader.close()

    def close(self) -> None:
        """Let `run` return, if it has not."""
        with self._wake_writer, contextlib.suppress(BrokenPipeError):
            self._wake_writer.send(b".")

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._drop_daemon()
        # Bounds a daemon that stops reading.
        connection.settimeout(SEND_S_MAX)
        self._connection, self._arrivals = connection, Arrivals(connection)
        self._outlet = Outlet(connection)
        self._selector.register(connection, selectors.EVENT_READ)
        self._inbox.put(Attached(self._outlet), time.monotonic())
        self._link.attach(self._outlet)

    def _drop_daemon(self) -> None:
        if self._connection is None or self._outlet is None:
            return
        self._selector.unregister(self._connection)
        self._link.detach()
        self._preparation.forget()
        self._inbox.put(Detached(), time.monotonic())
        self._outlet.close()
        self._connection = self._outlet = None

    def _read(self) -> None:
        if self._arrivals is None or self._outlet is None:
            return
        try:
            frames = self._arrivals.read()
        except EngineLost as error:
            log.warning("the daemon is disconnected: %s", error)
            frames = None
        if frames is None:
            self._drop_daemon()
        else:
            self._take(frames, self._outlet)

    def _take(self, frames: Sequence[Frame | Foreign], outlet: Outlet) -> None:
        now_s = time.monotonic()
        for frame in frames:
            self._heed(frame, now_s)
            if self._outlet is not outlet:
                return  # its daemon is not served
        prepared = [frame for frame in frames if isinstance(frame, Measure | Work | Cancel)]
        self._preparation.put(prepared, outlet, now_s)

    def _heed(self, frame: Frame | Foreign, now_s: float) -> None:
        match frame:
            case Hello(version) if not speaks(version, PROTOCOL_VERSION):
                why = too_far(version, PROTOCOL_VERSION)
                log.warning("the daemon is not served: %s; restart the older of both", why)
                self._drop_daemon()
            case Limits() | Go():
                self._inbox.put(frame, now_s)
            case Measure() | Work() | Cancel() | Hello() | Foreign():
                pass
            case _:
                log.debug("no answer to %s", frame.kind)
