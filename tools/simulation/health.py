"""Whether engines serve, hang or end too often, seen from outside, and what the daemon does then.

In:  what happens to engine processes, at the moment when it does.     Out: violations.
The figures are those of docs/delivery.md, written once more: edged's own may be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# Silence of an engine that has work is a hang after so long, and after this at once where no step
# is known yet, or the last one was more than a minute ago.
HANG_S, HANG_S_UNKNOWN, REST_S = 5.0, 30.0, 60.0
STEP_S_MAX, STEP_TIMES = 0.5, 5.0
# The daemon looks twice a second.
LOOK_S = 1.0
# After so many ends without an answer no other engine is started for so long.
ENDS_MAX, PAUSE_S = 5, 30.0
ROUNDING_S = 0.1
# Between a refusal and its arrival lie a slow link and two commits on a disk that stalls.
REFUSED_S_MAX = 30.0


class Process(Protocol):
    """What is to be seen of an engine process."""

    @property
    def is_sick(self) -> bool:
        """Return whether it hangs or stands still."""

    @property
    def serves(self) -> bool:
        """Return whether it is loaded, healthy, and connected to the daemon."""

    @property
    def holds(self) -> frozenset[str]:
        """Return what it is to work on."""


@dataclass
class Silence:
    """How long one engine has said nothing though it has work.

    Attributes:
        since_s: when it last said something, was connected or got work after a rest.
        longest_s: the longest step of this connection; None: none is known.
        ready_s: when it served this connection first; None: not yet.
        is_told_to_end: whether the daemon sent SIGKILL.
        waits: whether it asked for a permit of the power budget and has none yet.
        reached_s: when the daemon reached it last.
        lost_s: when the daemon let go of it; None: it did not, minus infinity: nobody knows.
        is_met: whether this daemon has started it, or reached it; else it cannot know of its end.
    """

    since_s: float
    longest_s: float | None = None
    ready_s: float | None = None
    is_told_to_end: bool = False
    waits: bool = False
    reached_s: float = -math.inf
    lost_s: float | None = None
    is_met: bool = False

    @property
    def allowed_s(self) -> float:
        """Return when it has to be found out and ended."""
        if self.longest_s is None:
            return HANG_S_UNKNOWN + LOOK_S
        return HANG_S + max(STEP_S_MAX, STEP_TIMES * self.longest_s) + LOOK_S


class Health:
    """Keeps the books on engine processes, one at a time.

    Attributes:
        is_watched: whether there is a daemon that should notice what is wrong.
    """

    def __init__(self, clock: Callable[[], float], violated: Callable[[str], None]) -> None:
        self._clock = clock
        self._violated = violated
        self._silences: dict[Process, Silence] = {}
        self._served_since_s: float | None = None
        self._ends = 0
        self._ended_s = -math.inf
        self.is_watched = False

    def daemon_begins(self) -> None:
        """Another daemon: it knows nothing of the ends before it, and of no step."""
        self.is_watched, self._ends = True, 0
        for silence in self._silences.values():
            silence.is_told_to_end = silence.is_met = False

    # What happens to an engine.

    def begins(self, process: Process | None, *, beside: bool) -> None:
        """The daemon starts an engine, which may end at once; `beside`: while another one lives."""
        if beside:
            self._violated("an engine is started while another one lives")
        pause_s = self._clock() - self._ended_s
        if self._ends >= ENDS_MAX and pause_s < PAUSE_S - ROUNDING_S:
            self._violated(f"an engine is started {pause_s:.1f} s after {self._ends} ends in a row")
        if process is not None:
            self._silences[process] = Silence(self._clock(), is_met=True)

    def connected(self, process: Process) -> None:
        """The daemon has connected: it knows no step of this connection yet."""
        silence = self._silences[process]
        silence.since_s, silence.longest_s, silence.ready_s = self._clock(), None, None
        silence.waits = False
        if silence.reached_s == self._clock():
            silence.lost_s = None
        self.changed(process)

    def reached(self, process: Process) -> None:
        """The daemon reaches it; while it stands still nobody sees how long the daemon waits."""
        silence = self._silences[process]
        silence.reached_s, silence.lost_s, silence.is_met = self._clock(), -math.inf, True

    def let_go(self, process: Process) -> None:
        """The daemon has ended the connection: for it that is the engine's end."""
        silence = self._silences.get(process)
        if silence is not None and silence.lost_s is None:
            silence.lost_s = self._clock()

    def works(self, process: Process) -> None:
        """An engine without work gets some."""
        silence, now_s = self._silences[process], self._clock()
        if silence.is_told_to_end:
            self._violated("an engine that was told to end gets work")
        if now_s - silence.since_s > REST_S - LOOK_S:
            silence.longest_s = None
        silence.since_s = now_s

    def spoke(self, process: Process) -> None:
        """The daemon has heard something."""
        self._silences[process].since_s = self._clock()

    def wished(self, process: Process) -> None:
        """It asks the power budget for a permit: until then its silence is the budget's."""
        self.spoke(process)
        self._silences[process].waits = True

    def permitted(self, process: Process) -> None:
        """It has its permit."""
        self.spoke(process)
        self._silences[process].waits = False

    def stepped(self, process: Process, step_s: float, *, has_answered: bool) -> None:
        """The daemon has heard of a step."""
        self.spoke(process)
        silence = self._silences[process]
        silence.longest_s = max(step_s, silence.longest_s or 0.0)
        if has_answered:
            self._ends = 0

    def changed(self, process: Process) -> None:
        """An engine begins or ceases to serve."""
        if not process.serves:
            self._served_since_s = None
        elif self._served_since_s is None:
            self._served_since_s = self._clock()
            silence = self._silences[process]
            silence.ready_s = silence.ready_s or self._clock()

    def killed(self, process: Process) -> None:
        """The daemon sends SIGKILL."""
        self.look(process)
        if process in self._silences:
            self._silences[process].is_told_to_end = True

    def ended(self, process: Process | None) -> None:
        """An engine has ended; None: one that never listened."""
        silence = None if process is None else self._silences.pop(process, None)
        self._served_since_s = None
        if silence is not None and not silence.is_met:
            return
        now_s, ready_s = self._clock(), None if silence is None else silence.ready_s
        has_served = ready_s is not None and now_s - ready_s > REST_S - LOOK_S
        self._ends = 1 if has_served else self._ends + 1
        lost_s = None if silence is None else silence.lost_s
        self._ended_s = now_s if lost_s is None else lost_s

    @property
    def served_s(self) -> float:
        """Return for how long an engine has served by now; 0: none does."""
        return 0.0 if self._served_since_s is None else self._clock() - self._served_since_s

    # What should be so.

    def look(self, process: Process) -> None:
        """An engine that says nothing though it has work is found out and ended."""
        silence = self._silences.get(process)
        if silence is None or not (self.is_watched and process.is_sick and process.holds):
            return
        silent_s = self._clock() - silence.since_s
        if silence.waits or silence.is_told_to_end:
            return
        if silent_s > silence.allowed_s:
            self._violated(f"an engine hung for {silent_s:.1f} s, {silence.allowed_s} s at most")

    def refused_as_down(self) -> None:
        """A prompt was refused because the engine is down: so it is, or was a moment ago."""
        if self.served_s > REFUSED_S_MAX:
            self._violated(f"refused as engine_down: an engine serves since {self.served_s:.1f} s")
