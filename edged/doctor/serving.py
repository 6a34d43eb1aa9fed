"""What the daemon that runs says of its engine.

In:  the daemon's answer on the admin socket.     Out: `engine` of its state, a finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edged.admin.client import asked
from edged.admin.wire import StatusAsk
from edged.config import Config
from edged.doctor.finding import Finding, error
from edged.errors import AdminRefused, AdminUnreachable

# A daemon answers at once; the whole of `edged doctor` is to take two seconds.
ANSWER_S = 0.3


def look(config: Config, daemon: int | None) -> Mapping[str, Any]:
    """Return what it says; nothing where no daemon runs, or it does not let us ask."""
    if daemon is None:
        return {}
    try:
        state = asked(config, StatusAsk(), ANSWER_S).state or {}
    except (AdminUnreachable, AdminRefused):
        return {}
    engine: Mapping[str, Any] = state.get("engine", {})
    return engine


def judge(engine: Mapping[str, Any]) -> list[Finding]:
    """Return that the engine is of an edged too far from the daemon's, where it is."""
    if engine.get("phase") != "engine_restart_needed":
        return []
    says, _, mend = str(engine["problem"]).rpartition("; ")
    return [error("engine", says, mend)]
