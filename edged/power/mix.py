"""What the work is made of, remembered for about a minute.

In:  the tokens of each step.     Out: a `Mix` for the choice of the operating point.
Pure; time is whatever monotonic seconds the caller uses.
"""

from __future__ import annotations

import math

from edged.power.forecast import Mix, Step

MEMORY_S = 60.0
# Before anything ran: a prompt of four tokens for each one of the answer.
FIRST_RATIO = 4.0
RATIO_MAX = 1000.0


class MixMemory:
    """Prompt and output tokens of the last steps; older ones fade."""

    def __init__(self, sequences: int, now_s: float) -> None:
        self.mix = Mix(FIRST_RATIO, sequences)
        self._prefilled = self._decoded = 0.0
        self._faded_s = now_s

    def take(self, step: Step, answered: int) -> None:
        """Count a step; `answered` of a prefill chunk's tokens belong to answers."""
        if step.phase == "prefill":
            self._prefilled += step.tokens - answered
            self._decoded += answered
        else:
            self._decoded += step.tokens

    def follow(self, now_s: float) -> Mix:
        """Return the mix as of now, and let what was counted fade."""
        passed_s = now_s - self._faded_s
        if self._decoded + self._prefilled <= 0 or passed_s <= 0:
            return self.mix
        if self._decoded > 0:
            ratio = min(RATIO_MAX, self._prefilled / self._decoded)
            self.mix = Mix(ratio, self.mix.sequences)
        kept = math.exp(-passed_s / MEMORY_S)
        self._prefilled *= kept
        self._decoded *= kept
        self._faded_s = now_s
        return self.mix
