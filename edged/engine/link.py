"""The daemon's side of the engine as the threads see it: who is connected, what it was last told.

In:  outlets from the intake thread, states from the step thread.     Out: frames.
Threads: any; a daemon that comes gets `Hello` and the state in force, none is skipped or doubled.
"""

from __future__ import annotations

import os
import threading

from edged.engine.frames import PROTOCOL_VERSION, Broken, Hello, Loading, Ready
from edged.engine.outlet import Outlet

State = Loading | Ready | Broken


class Link:
    """Tells the daemon, whichever is there, what state the engine is in."""

    def __init__(self) -> None:
        self._state: State = Loading(0.0)
        self._outlet: Outlet | None = None
        self._changed = threading.Condition()

    def attach(self, outlet: Outlet) -> None:
        """Greet a daemon; from now on it is told every state."""
        with self._changed:
            self._outlet = outlet
            outlet.send(Hello(PROTOCOL_VERSION, os.getpid()))
            outlet.send(self._state)
            self._changed.notify_all()

    def detach(self) -> None:
        """Forget the daemon."""
        with self._changed:
            self._outlet = None

    def tell(self, state: State) -> None:
        """Set the state and tell the daemon."""
        with self._changed:
            self._state = state
            if self._outlet is not None:
                self._outlet.send(state)

    def wait_for_daemon(self, timeout_s: float) -> bool:
        """Return whether a daemon has been told the state, waiting for one that long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._outlet is not None, timeout_s)
