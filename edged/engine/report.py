"""What one step changed, gathered while it runs and sent once after it.

In:  runs, new text, endings.     Out: a `Step` frame.
Threads: the step thread's alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from edged.engine.backend import Run
from edged.engine.frames import Delta, Outcome, Step
from edged.engine.pace import Pace
from edged.engine.sequence import Sequence


class Report:
    """Collects one step.

    Attributes:
        outcomes: sequences that ended, and requests refused before they became one.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.outcomes: list[Outcome] = []
        self._clock = clock
        self.begin()
        self._deltas: dict[str, str] = {}
        self._costs_s: dict[str, float] = {}
        self._prefill_tokens = 0
        self._decode_tokens = 0

    @property
    def has_news(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.outcomes or self._deltas or self._prefill_tokens or self._decode_tokens)

    def begin(self) -> None:
        """Start the clocks: what came before belongs to no step."""
        self._started_s = self._clock()
        self._cpu_started_s = time.process_time()

    def ran(self, runs: Iterable[tuple[Sequence | None, Run]], pace: Pace) -> None:
        """Take down what entered the KV cache, and for whom; None stands for a root."""
        every = list(runs)
        for sequence, run in every:
            count = len(run.tokens)
            behind = 0 if sequence is None else min(count, sequence.n_past - sequence.n_prefill)
            self._decode_tokens += max(0, behind)
            self._prefill_tokens += count - max(0, behind)
            if sequence is not None and sequence.is_reported:
                tokens_s = pace.tokens_s(count - run.is_sampled, int(run.is_sampled))
                self._costs_s[sequence.work.id] = tokens_s + pace.fixed_s / len(every)

    def grew(self, sequence: Sequence, text: str) -> None:
        """Take down new text where it is wanted."""
        if text and sequence.work.stream and sequence.is_reported:
            self._deltas[sequence.work.id] = self._deltas.get(sequence.work.id, "") + text

    def ended(self, sequence: Sequence) -> None:
        """Take down that a sequence is over."""
        if sequence.is_reported:
            self.outcomes.append(sequence.outcome(self._clock()))

    def forget(self) -> None:
        """Drop what was for a daemon that has gone."""
        self.outcomes.clear()
        self._deltas.clear()

    def step_s(self) -> float:
        """Return the seconds since the step began."""
        return self._clock() - self._started_s

    def step(self, npu_matmuls: int | None = None) -> Step:
        """Return the frame; a report of nothing but endings has a step of 0 s."""
        has_run = bool(self._prefill_tokens or self._decode_tokens)
        total_s = sum(self._costs_s.values())
        return Step(
            step_s=self.step_s() if has_run else 0.0,
            cpu_s=time.process_time() - self._cpu_started_s if has_run else 0.0,
            prefill_tokens=self._prefill_tokens,
            decode_tokens=self._decode_tokens,
            shares={id: cost_s / total_s for id, cost_s in self._costs_s.items() if total_s > 0},
            deltas=tuple(Delta(id, text) for id, text in self._deltas.items()),
            outcomes=tuple(self.outcomes),
            npu_matmuls=npu_matmuls,
        )
