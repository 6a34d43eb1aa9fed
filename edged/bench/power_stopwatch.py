"""Counts the CPU seconds of a policy: what the governor itself costs.

In:  a policy.     Out: the same policy, and `spent_s`, its thread's CPU seconds inside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from edged.board.virtual.run import Policy
from edged.power.forecast import Step
from edged.power.plausible import Metered


class Stopwatch:
    """A policy whose calls are timed; the two looks at the clock are part of what it counts."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.spent_s = 0.0

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began_s = time.thread_time()
        yield
        self.spent_s += time.thread_time() - began_s

    @property
    def point(self) -> int:
        """The policy's operating point."""
        return self._policy.point

    @property
    def chunk_tokens(self) -> int:
        """The policy's prefill chunk."""
        with self._counted():
            return self._policy.chunk_tokens

    def observe(self, now_s: float, reading: Metered | None) -> None:
        """Let it take a tick."""
        with self._counted():
            self._policy.observe(now_s, reading)

    def choose(self, now_s: float) -> None:
        """Let it decide."""
        with self._counted():
            self._policy.choose(now_s)

    def allow_points(self, usable: list[int]) -> None:
        """Let it learn which points the kernel leaves."""
        with self._counted():
            self._policy.allow_points(usable)

    def pause_s(self, now_s: float, step: Step) -> float:
        """Let it say the pause."""
        with self._counted():
            return self._policy.pause_s(now_s, step)

    def begin(self, now_s: float, step: Step) -> None:
        """Let it note that a step starts."""
        with self._counted():
            self._policy.begin(now_s, step)

    def end(self, now_s: float, *, settled: bool) -> None:
        """Let it note that it ended."""
        with self._counted():
            self._policy.end(now_s, settled=settled)
