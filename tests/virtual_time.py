"""The daemon and its engine in one process, in virtual time: an hour takes minutes.

In:  a coroutine.     Out: what it returns; seconds pass only while everything waits.
The event loop's clock jumps to the next timer when nothing else is to be done. What belongs in a
thread (the spool's, a meter's) runs where it is asked for and takes no virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edged.board.virtual.live import LiveBoard
from edged.config import Config
from edged.engine.client import EngineClient
from edged.engine.constraints import Constraints
from edged.engine.frames import (
    Cancel,
    Frame,
    Go,
    Hello,
    Limits,
    Ready,
    ToEngine,
    Work,
)
from edged.engine.inbox import Attached, Inbox
from edged.engine.open_sim import FORMAT
from edged.engine.opened import n_batch, n_cells, n_sequences
from edged.engine.outlet import Outlet
from edged.engine.pace import Pace
from edged.engine.plan import Bounds
from edged.engine.prepare import Preparer
from edged.engine.protocol import PROTOCOL_VERSION
from edged.engine.schema import Lengths
from edged.engine.sim import N_VOCAB, Sim
from edged.engine.worker import Worker
from edged.power.forecast import Phase
from tools.simulation.loop import VirtualLoop as VirtualLoop
from tools.simulation.loop import run_virtually as run_virtually


class _Collected(Outlet):
    """The engine's end of a socket that is none."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def send(self, *frames: Frame) -> None:
        self.frames += frames


class _Pace:
    """Steps take what the virtual board says at the clocks in force."""

    def __init__(self, live: LiveBoard) -> None:
        self._live = live

    def step_s(self, tokens: int, sequences: int, sampled: int) -> float:
        phase: Phase = "decode" if tokens == sequences else "prefill"
        return self._live.step_s(phase, tokens)


class NearEngine(EngineClient):
    """The real worker and the simulated backend behind the client's own interface.

    The step thread is a task: a step's seconds pass before its frames arrive.
    """

    def __init__(self, config: Config, live: LiveBoard, loop: VirtualLoop) -> None:
        super().__init__(config, None)
        self._loop = loop
        self._slept_s = 0.0
        self._mail = asyncio.Event()
        self._inbox = Inbox()
        self._collected = _Collected()
        backend = Sim(
            n_cells=n_cells(config),
            n_batch=n_batch(config),
            n_sequences=n_sequences(config),
            timing=_Pace(live),
            sleep=self._sleep,
        )
        words, engine, model = backend.vocabulary, config.engine, config.model
        constraints = Constraints(words.guidance, N_VOCAB, Lengths())
        tokens = model.context_tokens, engine.answer_tokens_default
        self._preparer = Preparer(words, FORMAT, constraints, *tokens)
        self._worker = Worker(
            backend,
            Bounds(n_batch(config), engine.chunk_tokens, engine.step_s_max),
            Limits(model.context_tokens, model.sequences, engine.lease_s),
            Pace(live.step_s("prefill", 64) / 64, live.step_s("decode", 1)),
            canary=lambda worker: None,
            clock=self._now_s,
        )

    def _now_s(self) -> float:
        return self._loop.time() + self._slept_s

    def _sleep(self, duration_s: float) -> None:
        self._slept_s += duration_s

    def send(self, *frames: ToEngine) -> None:
        """Put frames into the engine's inbox, as its intake thread would."""
        now_s = self._loop.time()
        for frame in frames:
            match frame:
                case Work():
                    self._inbox.put(self._preparer.sequence(frame, now_s), now_s)
                case Cancel() | Limits() | Go():
                    self._inbox.put(frame, now_s)
        self._mail.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        model = self._config.model
        self._inbox.put(Attached(self._collected), self._loop.time())
        self._greet(Hello(PROTOCOL_VERSION, 5_000_000))
        self._take(Ready("sim", "sha256:0", "sim", model.context_tokens, model.sequences, 0.0))
        while True:
            self._mail.clear()
            is_busy = self._worker.turn(self._inbox.take(block=False) or [])
            slept_s, self._slept_s = self._slept_s, 0.0
            await asyncio.sleep(slept_s)
            frames, self._collected.frames = self._collected.frames, []
            for frame in frames:
                self._take(frame)
            if not is_busy:
                await self._mail.wait()


def config_of(folder: Path, **sections: Mapping[str, Any]) -> Config:
    """Return a configuration of the simulated engine whose state lies in `folder`."""
    tables: dict[str, dict[str, Any]] = {
        "node": {"state_dir": str(folder)},
        "engine": {"backend": "sim"},
        "model": {"sequences": 8},
    }
    for name, keys in sections.items():
        tables[name] = tables.get(name, {}) | dict(keys)
    return Config.model_validate(tables)
