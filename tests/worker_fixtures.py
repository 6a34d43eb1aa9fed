"""A worker of the engine on a bench: its thread, a clock of the test, a simulated backend."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edged.engine.constraints import Constraints
from edged.engine.formats import RoleFormat
from edged.engine.frames import Cancel, Go, Limits, Work
from edged.engine.inbox import Attached, Inbox
from edged.engine.outlet import Outlet
from edged.engine.pace import Pace
from edged.engine.plan import Bounds
from edged.engine.prepare import Preparer
from edged.engine.schema import Lengths
from edged.engine.sim import N_VOCAB, Sim, Timing
from edged.engine.worker import Worker
from edged.errors import EngineUnusable
from tests.engine_fixtures import Daemon

TIMING = Timing(prefill_s=0.01, decode_s=0.1)
BOUNDS = Bounds(n_batch=128, chunk_tokens=64, step_s_max=0.5)


@dataclass
class Clock:
    """Seconds that pass only while the backend computes, or when a test says so."""

    now_s: float = 0.0
    on_step: Callable[[], None] = field(default=lambda: None)

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.on_step()


@dataclass
class Bench:
    """A worker, its inbox, and a daemon's end to read what it reports."""

    clock: Clock
    backend: Sim
    preparer: Preparer
    worker: Worker
    inbox: Inbox
    daemon: Daemon

    def put(self, *frames: Work | Cancel | Limits | Go) -> None:
        for frame in frames:
            item = self.preparer.sequence(frame, 0.0) if isinstance(frame, Work) else frame
            self.inbox.put(item, self.clock())


@contextmanager
def bench(
    *,
    n_cells: int = 4096,
    canary: Callable[[Worker], None] = lambda worker: None,
    bounds: Bounds = BOUNDS,
) -> Iterator[Bench]:
    clock = Clock()
    backend = Sim(n_cells=n_cells, n_batch=128, n_sequences=25, timing=TIMING, sleep=clock.sleep)
    words = backend.vocabulary
    form = RoleFormat({"user": "{content}"}, "")
    constraints = Constraints(words.guidance, N_VOCAB, Lengths())
    preparer = Preparer(words, form, constraints, 1024, 64)
    limits, pace = Limits(1024, 8, 1e9), Pace(TIMING.prefill_s, TIMING.decode_s)
    worker = Worker(backend, bounds, limits, pace, canary=canary, clock=clock)
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    inbox = Inbox()
    inbox.put(Attached(Outlet(ours)), 0.0)
    with ours, theirs:
        yield Bench(clock, backend, preparer, worker, inbox, Daemon(theirs))


@contextmanager
def stepping(scene: Bench) -> Iterator[list[EngineUnusable]]:
    """Run the step thread for the block."""
    failed: list[EngineUnusable] = []

    def run() -> None:
        try:
            scene.worker.run(scene.inbox)
        except EngineUnusable as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failed
    finally:
        scene.inbox.close()
        thread.join()
