"""The arms of the power benchmark that are not the governor: full clocks, and one idea each.

In:  what the run tells a policy.     Out: the pauses, or the engine's context and sequences.
"""

from __future__ import annotations

from edged.board.virtual.engine import Engine
from edged.power.budget import Limits
from edged.power.forecast import Step
from edged.power.plausible import Metered
from edged.power.trace import Trace

# Bang-bang starts again when the mean is this far under the limit.
RELEASE_SHARE = 0.97
CHECK_S = 0.25
CONTEXT_TOKENS_MIN, CONTEXT_TOKENS_MAX = 64, 1024


class Metering:
    """Full clocks, and the metered mean of the last window."""

    def __init__(self, point: int, chunk_tokens: int, limits: Limits) -> None:
        self.limits = limits
        self._full = point
        self._point = point
        self._chunk_tokens = chunk_tokens
        self._trace = Trace(0.0, 0.0)

    @property
    def point(self) -> int:
        """Full speed, as far as the kernel leaves it."""
        return self._point

    @property
    def chunk_tokens(self) -> int:
        """The prefill chunk."""
        return self._chunk_tokens

    def observe(self, now_s: float, reading: Metered | None) -> None:
        """Add up what the meter says."""
        if reading is not None:
            self._trace.extend(now_s, reading.power_w)

    def mean_w(self) -> float:
        """Return the mean of the last window."""
        end_s, window_s = self._trace.end_s, self.limits.window_s
        return (self._trace.end_j - self._trace.joules_at(end_s - window_s)) / window_s

    def choose(self, now_s: float) -> None:
        """Nothing to choose."""

    def allow_points(self, usable: list[int]) -> None:
        """The kernel's caps hold."""
        self._point = self._full if self._full in usable else max(usable)

    def pause_s(self, now_s: float, step: Step) -> float:
        """Never pause."""
        return 0.0

    def begin(self, now_s: float, step: Step) -> None:
        """Nothing to note."""

    def end(self, now_s: float, *, settled: bool) -> None:
        """Nothing to note."""


class BangBang(Metering):
    """Full speed under the limit, nothing over it."""

    _is_stopped = False

    def pause_s(self, now_s: float, step: Step) -> float:
        """Stop when the mean is over, until it is clearly under."""
        release = RELEASE_SHARE if self._is_stopped else 1.0
        self._is_stopped = self.mean_w() > release * self.limits.mean_w
        return CHECK_S if self._is_stopped else 0.0


class ContextBatch(Metering):
    """Context and batch only, taken at their word: both shrink while the mean is over the limit."""

    def __init__(self, point: int, chunk_tokens: int, limits: Limits, engine: Engine) -> None:
        super().__init__(point, chunk_tokens, limits)
        self._engine = engine
        self._sequences_max = engine.sequences
        self._context_tokens = CONTEXT_TOKENS_MAX

    def choose(self, now_s: float) -> None:
        """Halve or double the context, then take or give a sequence; one is always granted."""
        engine, mean_w, limit_w = self._engine, self.mean_w(), self.limits.mean_w
        if mean_w > limit_w:
            if self._context_tokens > CONTEXT_TOKENS_MIN:
                self._context_tokens //= 2
            else:
                engine.sequences = max(1, engine.sequences - 1)
        elif mean_w < 0.95 * limit_w:
            if engine.sequences < self._sequences_max:
                engine.sequences += 1
            else:
                self._context_tokens = min(CONTEXT_TOKENS_MAX, 2 * self._context_tokens)
        engine.context_tokens = self._context_tokens
