"""What an engine process computes: the real step loop and backend `sim`, with a clock of their own.

In:  a configuration, how long steps take.     Out: frames, and the virtual seconds of each step.
"""

from __future__ import annotations

import asyncio

from edged.config import Config
from edged.engine.constraints import Constraints
from edged.engine.frames import Frame, Limits
from edged.engine.open_sim import FORMAT
from edged.engine.opened import n_batch, n_cells, n_sequences
from edged.engine.outlet import Outlet
from edged.engine.pace import Pace
from edged.engine.plan import Bounds
from edged.engine.prepare import Preparer
from edged.engine.schema import Lengths
from edged.engine.sim import N_VOCAB, Sim, SimVocabulary, StepTime
from edged.engine.worker import Worker


class _Collected(Outlet):
    """The engine's end of a socket, written after the step."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def send(self, *frames: Frame) -> None:
        self.frames += frames

    def taken(self) -> list[Frame]:
        """Return what was collected, once."""
        frames, self.frames = self.frames, []
        return frames


def preparer_of(config: Config) -> Preparer:
    """Return what makes tokens of frames; engines may share it."""
    words, model = SimVocabulary(), config.model
    constraints = Constraints(words.guidance, N_VOCAB, Lengths())
    tokens = model.context_tokens, config.engine.answer_tokens_default
    return Preparer(words, FORMAT, constraints, *tokens)


class Computed:
    """The step loop of one engine, with a clock that its own steps turn."""

    def __init__(self, config: Config, preparer: Preparer, timing: StepTime | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._slept_s = 0.0
        self.outlet = _Collected()
        self.preparer = preparer
        backend = Sim(
            n_cells=n_cells(config),
            n_batch=n_batch(config),
            n_sequences=n_sequences(config),
            timing=timing,
            sleep=self._sleep,
        )
        model, engine = config.model, config.engine
        self.worker = Worker(
            backend,
            Bounds(n_batch(config), engine.chunk_tokens, engine.step_s_max),
            Limits(model.context_tokens, model.sequences, engine.lease_s),
            Pace(0.0002, 0.002),
            canary=lambda worker: None,
            clock=self.now_s,
        )

    def now_s(self) -> float:
        """Return the engine's seconds."""
        return self._loop.time() + self._slept_s

    def _sleep(self, duration_s: float) -> None:
        self._slept_s += duration_s

    def took_s(self) -> float:
        """Return what the last step took, once."""
        slept_s, self._slept_s = self._slept_s, 0.0
        return slept_s
