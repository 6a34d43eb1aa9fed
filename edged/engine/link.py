"""The daemon's side of the engine as the threads see it: who is connected, what it was last told.

In:  outlets from the intake thread, states from the step thread.     Out: frames.
Threads: any; a daemon that comes gets `Hello` and the state in force, none is skipped or doubled.
"""

from __future__ import annotations

import os
import threading

from edged.engine.frames import Broken, Hello, Loading, Ready
from edged.engine.outlet import Outlet
from edged.engine.protocol import PROTOCOL_VERSION

State = Loading | Ready | Broken


class Link:
    """Tells the daemon, whichever is there, what state the engine is in."""

    def __init__(self, *, spawned: bool = False) -> None:
        self._spawned = spawned
        self._state: State = Loading(0.0)
        self._outlet: Outlet | None = None
        self._is_heard = False
        self._changed = threading.Condition()

    def attach(self, outlet: Outlet) -> None:
        """Greet a daemon; from now on it is told every state."""
        with self._changed:
            self._outlet = outlet
            outlet.send(Hello(PROTOCOL_VERSION, os.getpid(), self._spawned))
            outlet.send(self._state)

    def detach(self) -> None:
        """Forget the daemon; it has had the time to read the state in force."""
        with self._changed:
            self._outlet = None
            self._is_heard = isinstance(self._state, Broken)
            self._changed.notify_all()

    def tell(self, state: State) -> None:
        """Set the state and tell the daemon."""
        with self._changed:
            self._state = state
            if self._outlet is not None:
                self._outlet.send(state)

    def wait_until_heard(self, timeout_s: float) -> None:
        """Wait until a daemon was told that the engine is broken and hung up, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_heard, timeout_s)
