"""What the daemon knows of the engine, and how frames change that.

In:  frames.     Out: the next state.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edged.engine.frames import Hello, Ready

Phase = Literal["starting", "loading", "ready", "engine_restart_needed", "broken"]


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine, or the wait for one.

    Attributes:
        phase: `engine_restart_needed`: it is of an edged that is more than one release away, and is
            not used; `broken`: it said that it cannot serve, or it ended too often, or nothing can
            end it.
        progress: of the load, 0..1.
        problem: why it is not ready, in words a person can act on.
        npu_matmuls: what the NPU under llama.cpp has executed since the load; None without one.
    """

    phase: Phase = "starting"
    progress: float = 0.0
    problem: str = ""
    ready: Ready | None = None
    pid: int | None = None
    npu_matmuls: int | None = None

    def greeted(self, hello: Hello) -> EngineState:
        """Return that of an engine that is spoken with."""
        problem = self.problem if self.phase == "broken" else ""
        return replace(self.loading(self.progress), pid=hello.pid, problem=problem)

    def loading(self, progress: float) -> EngineState:
        """Return that of a load; an engine that was broken stays so until it is ready."""
        phase: Phase = "broken" if self.phase == "broken" else "loading"
        return replace(self, phase=phase, progress=progress)

    def serving(self, ready: Ready) -> EngineState:
        """Return that of an engine that answers."""
        matmuls = None if ready.npu is None else ready.npu.matmuls
        served = replace(self, phase="ready", progress=1.0, ready=ready, problem="")
        return replace(served, npu_matmuls=matmuls)
