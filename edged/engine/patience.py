"""When an engine's silence is a hang, and when it has ended too often: two pure rules.

In:  steps and ends, in order.     Out: seconds of silence that are too many; whether to refuse.
Does not know: clocks, processes.
"""

from __future__ import annotations

from collections import deque

from edged import config

# A step is planned to take `engine.step_s_max` at most; silence of so much more is a hang.
HANG_S = 5.0
# Steps take what the last ones took, times this: a machine that is busy otherwise is slow.
HANG_TIMES = 5.0
# Before the first step of a life, and after a rest, pages may still have to come from the disk.
# RKLLM's prefill is one step of any length: its worker watches it.
HANG_S_UNKNOWN = 30.0
HANG_STEPS_UNKNOWN = 10
REST_S = 60.0
REMEMBERED = 64

# So many ends in a row with no answer in between are no accident.
ENDS_MAX = 5


class Patience:
    """How long an engine may be silent while prompts are in its batch."""

    def __init__(self, engine: config.Engine) -> None:
        self._step_s_max = engine.step_s_max
        self._is_known = engine.backend != "rkllm"
        self._steps_s: deque[float] = deque(maxlen=REMEMBERED)

    def stepped(self, step_s: float) -> None:
        """Note how long a step took."""
        self._steps_s.append(step_s)

    def forget(self) -> None:
        """The next step may be slow: of another life, or after a rest."""
        self._steps_s.clear()

    @property
    def limit_s(self) -> float:
        """Return the longest silence that is none of a hang."""
        if not self._steps_s or not self._is_known:
            return max(HANG_S_UNKNOWN, HANG_STEPS_UNKNOWN * self._step_s_max)
        return HANG_S + max(self._step_s_max, HANG_TIMES * max(self._steps_s))


class Restarts:
    """Counts the ends of engines that answered nothing."""

    def __init__(self) -> None:
        self.in_a_row = 0

    def answered(self) -> None:
        """Note that an engine answered a prompt: it serves."""
        self.in_a_row = 0

    def ended(self, served_s: float) -> None:
        """Note the end of an engine that was ready for so long."""
        self.in_a_row = 1 if served_s > REST_S else self.in_a_row + 1

    @property
    def are_spent(self) -> bool:
        """Return whether the next one is not expected to do better."""
        return self.in_a_row >= ENDS_MAX
