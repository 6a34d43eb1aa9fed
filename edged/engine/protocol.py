"""Which versions of the frames understand each other: neighbours do.

In:  the version of the other side's `Hello`; bodies that are no frame of this version.
Out: whether it is spoken with, or why not and what to do; what is left unread.
A release raises the version by one at most, and only where one side must know what the other can
do. A daemon and an engine one release apart work together, by four rules that both keep:

1. The engine says `Hello` first, with its own version. The daemon answers with the lower of both,
   which is the one spoken from then on: whoever is newer keeps to the older one's words.
2. Fields that a side does not know are ignored; a field that is new has a default.
3. Frames of a kind that a side does not know are left.
4. `Hello` itself stays as it is for good.

Pure, but for the log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pydantic import ValidationError

from edged.errors import EngineLost

log = logging.getLogger(__name__)

PROTOCOL_VERSION = 3
# So long a daemon waits for what a prompt would take; then the engine decides when it runs.
MEASURE_S_MAX = 0.05
# So long where one asks to be trimmed, for all trials together: the engine would not trim it.
TRIM_S_MAX = 0.3


@dataclass(frozen=True, slots=True)
class Foreign:
    """A frame of a kind that this version does not have; nothing else of it is read."""

    kind: str


def speaks(theirs: int, ours: int) -> bool:
    """Return whether two versions work together."""
    return abs(theirs - ours) <= 1


def left_or_lost(error: ValidationError) -> Foreign:
    """Return what is to be left of a body that is no frame of this version.

    Raises:
        EngineLost: it is not a frame of another version either.
    """
    problem = error.errors(include_url=False, include_input=False)[0]
    if problem["type"] != "union_tag_invalid":
        raise EngineLost(f"not a frame of protocol {PROTOCOL_VERSION}: {error}") from error
    kind = str(problem["ctx"]["tag"])
    log.debug("a frame of kind %r is of another protocol than %d: left", kind, PROTOCOL_VERSION)
    return Foreign(kind)


def too_far(theirs: int, ours: int) -> str:
    """Return why two sides do not work together."""
    return f"it speaks protocol {theirs}, not {ours}, and is more than one release away"


def restart_needed(theirs: int, ours: int, pid: int, *, has_units: bool) -> str:
    """Return why an engine is not used, and what to do.

    Args:
        theirs: version of the engine.
        ours: version of the daemon.
        pid: the engine's process.
        has_units: whether systemd starts daemon and engine.
    """
    # A newer engine: either the daemon was not restarted yet, or the package is an older one again.
    units = "edged-engine.service" if theirs < ours else "edged.service edged-engine.service"
    by_hand = f"end process {pid}, then start `edged run` again"
    what_to_do = f"sudo systemctl restart {units}" if has_units else by_hand
    why = too_far(theirs, ours)
    return f"engine {pid} is not used: {why}; prompts are taken and wait; {what_to_do}"
