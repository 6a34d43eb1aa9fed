"""Cuts the time of a run into `Step` frames, so that its seconds and joules have an owner.

In:  tokens, text, endings.     Out: one frame for each token, and one a second without any.
Threads: the step thread's alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from edged.engine.frames import Delta, Held, Outcome, Step
from edged.engine.outlet import Outlet
from edged.engine.rkllm.answering import Answering


class Slices:
    """Tells the daemon what the time since the last frame brought.

    Attributes:
        outlet: the daemon; None while there is none.
        begun_s: when the present slice began, monotonic s.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.outlet: Outlet | None = None
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Start the clocks: what came before belongs to no run."""
        self.begun_s = self._clock()
        self._begun_cpu_s = time.process_time()

    def tell_held(self, count: int) -> None:
        """Say that the limits keep so many out; nothing is said where there is none."""
        if count and self.outlet is not None:
            self.outlet.send(Held(count))

    def tell(
        self,
        active: Answering | None,
        text: str = "",
        *,
        tokens: int = 0,
        prefill_tokens: int = 0,
        outcomes: Sequence[Outcome] = (),
    ) -> None:
        """Send a frame and begin the next slice; without a run a slice takes 0 s."""
        step_s = cpu_s = 0.0
        shares, deltas = {}, []
        if active is not None:
            step_s = self._clock() - self.begun_s
            cpu_s = time.process_time() - self._begun_cpu_s
            work = active.request.work
            shares = {work.id: 1.0} if active.request.is_reported else {}
            deltas = [Delta(work.id, text)] if text and work.stream and shares else []
            self.begin()
        step = Step(step_s, cpu_s, prefill_tokens, tokens, shares, tuple(deltas), tuple(outcomes))
        if self.outlet is not None:
            self.outlet.send(step)
