"""The services of a machine, started and stopped as systemd would.

In: a machine, the guide's scripts.  Out: running services, each waited for until it says that it is
ready. Nothing supervises them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Set

from tools.arm64.emulation import Arm64Error
from tools.arm64.machine import Machine, child_of
from tools.arm64.readiness import listening, wait_until_ready
from tools.arm64.units import installs_packages, orders, reading, says_when_ready, starting, wanted

# What a unit's TimeoutStopSec may be, at most, of those that are started here.
STOP_S = 90.0


class Services:
    """What runs on a machine, by the names of its units."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def enabled(self) -> set[str]:
        """Return the services that a boot would start."""
        links = (self._machine.files / "etc/systemd/system").glob("*.wants/*.service")
        return {link.name for link in links}

    def follow(self, script: str, before: Set[str]) -> None:
        """Do what systemd would have done while a script ran.

        Args:
            script: of the guide.
            before: what was enabled before it ran.

        Raises:
            Arm64Error: a service did not become ready, or does not end.
        """
        if installs_packages(script):
            for name in sorted(self.enabled() - before):
                self._start(name)
        for order in orders(script):
            if order.verb != "start":
                self._stop(order.name)
            if order.verb != "stop":
                self._start(order.name)

    def _start(self, name: str) -> None:
        """Start a service and those that it wants beside it; return once each is ready."""
        units = {name: self._unit(name)}
        for other in wanted(units[name]):
            units[other] = self._unit(other)
        with contextlib.ExitStack() as stack:
            ready = {}
            for one, unit in units.items():
                if self._runs(one):
                    continue
                if says_when_ready(unit):
                    place = self._machine.files / f"run/{one}.notify"
                    ready[one] = stack.enter_context(listening(place))
                script = starting(unit, f"/run/{one}.notify")
                self.running[one] = self._machine.start(script, f"{one}-output")
            for one, listener in ready.items():
                wait_until_ready(listener, one)

    def _runs(self, name: str) -> bool:
        return name in self.running and self.running[name].poll() is None

    def _stop(self, name: str) -> None:
        """End a service; one that does not run stays so.

        Raises:
            Arm64Error: it does not end.
        """
        process = self.running.pop(name, None)
        if process is None or process.poll() is not None:
            return
        os.kill(child_of(process.pid), signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired as error:
            raise Arm64Error(f"{name} did not end within {STOP_S:.0f} s") from error

    def _unit(self, name: str) -> str:
        """Return a unit's file.

        Raises:
            Arm64Error: there is none.
        """
        done = self._machine.run(reading(name), name=name)
        if done.code != 0:
            raise Arm64Error(f"{name} has no unit file")
        return done.text
