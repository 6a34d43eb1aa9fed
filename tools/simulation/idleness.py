"""Rows that nobody works on though somebody could: seen from outside, at two looks in a row.

In:  the spool's rows, the engine's batch.     Out: violations.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.simulation.engine import NearEngine
from tools.simulation.health import Health
from tools.simulation.view import View

# From the moment when an engine can take work until it has some lie a commit and a frame.
IDLE_S_MAX = 2.0


class Idleness:
    """What the last look found."""

    def __init__(
        self,
        view: View,
        health: Health,
        clock: Callable[[], float],
        violated: Callable[[str], None],
    ) -> None:
        self._view = view
        self._health = health
        self._clock = clock
        self._violated = violated
        self._lost: set[int] = set()
        self._waiting: set[int] = set()

    def forget(self) -> None:
        """Something disturbs: what waits has a reason."""
        self._lost, self._waiting = set(), set()

    def look(self, engine: NearEngine | None) -> None:
        """What runs is in the engine, and nothing waits beside one that has no work."""
        held = frozenset[str]() if engine is None else engine.holds
        lost = {serial for serial in self._serials("running") if str(serial) not in held}
        waiting = self._serials("queued") if self._is_idle(engine) else set()
        for serial in sorted(lost & self._lost):
            self._violated(f"row {serial} is called running, and no engine has it")
        for serial in sorted(waiting & self._waiting):
            self._violated(f"row {serial} waits, and the engine has no work")
        self._lost, self._waiting = lost, self._serials("queued")

    def _is_idle(self, engine: NearEngine | None) -> bool:
        if engine is None or engine.holds or self._health.served_s < IDLE_S_MAX:
            return False
        return self._clock() - engine.idle_since_s > IDLE_S_MAX

    def _serials(self, state: str) -> set[int]:
        found = self._view.rows("SELECT serial FROM prompt WHERE state = ?", state)
        return {serial for (serial,) in found}
