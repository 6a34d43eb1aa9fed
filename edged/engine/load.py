"""Brings the configured model into memory and finds out how fast it is.

In:  the configuration.     Out: `Resident`: the backend, its preparer, its worker.
Threads: the step thread's; it takes seconds to minutes.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from edged.config import Config
from edged.engine.backend import Backend, Run
from edged.engine.bindings import bind_lower_half
from edged.engine.canary import check_canary
from edged.engine.constraints import Constraints
from edged.engine.frames import Limits, Ready
from edged.engine.ggml.warm import warmed
from edged.engine.heap import give_back
from edged.engine.inbox import Inbox
from edged.engine.open_sim import open_sim
from edged.engine.opened import Opened, Progress
from edged.engine.pace import Pace, Timed, fitted
from edged.engine.plan import Bounds
from edged.engine.prepare import Preparer
from edged.engine.processor import check_processor
from edged.engine.schema import Lengths
from edged.engine.worker import Worker

# libgomp reads them once, when it is loaded. A thread that spins while it waits for one that lost
# its core made a step 100 times longer (measured: x86-64, 2 cores, one busy with something else),
# and goes on spinning through the pauses of the power budget. One that sleeps at once takes a
# system call at each of the hundreds of barriers of a step: so it spins for some 30 us, then sleeps
# (measured: 0, 300, 1,000, 3,000 turns: 37, 80, 94, 113 tokens/s of one sequence on idle cores; 60,
# 46, 31, 19 with one of the two cores busy).
WAIT_POLICY = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
PACE_TOKENS, PACE_ROWS = 32, 8


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that answers."""

    backend: Backend
    preparer: Preparer
    worker: Worker
    ready: Ready

    def run(self, inbox: Inbox) -> None:
        """Serve until the inbox closes."""
        self.worker.run(inbox)

    def close(self) -> None:
        """Give the memory back."""
        self.backend.close()


def load(config: Config, progress: Progress) -> Resident:
    """Load the model, measure its pace, ask its canary.

    Raises:
        EngineUnusable: the model cannot be served; says why and what to do.
        ConfigError: its format file is wrong.
    """
    started_s = time.monotonic()
    opened = _open(config, progress)
    backend = opened.backend
    npu = None if opened.npu is None else warmed(opened.npu, backend, progress)
    bounds = Bounds(
        backend.n_batch,
        config.engine.chunk_tokens,
        config.engine.step_s_max,
        mixed_tokens=backend.mixed_tokens,
    )
    limits = Limits(opened.context_tokens, config.model.sequences, config.engine.lease_s)
    preparer, own = _preparer(config, opened), _preparer(config, opened)  # one per thread
    worker = Worker(
        backend,
        bounds,
        limits,
        measured_pace(backend),
        canary=lambda worker: check_canary(worker, own, opened.canary),
    )
    check_canary(worker, own, opened.canary)
    give_back()
    ready = Ready(
        name=opened.name,
        digest=opened.digest,
        backend=backend.name,
        context_tokens=opened.context_tokens,
        sequences=config.model.sequences,
        load_s=time.monotonic() - started_s,
        npu=npu,
    )
    return Resident(backend, preparer, worker, ready)


def fix_wait_policy() -> None:
    """Set how compute threads wait, unless the environment says so; before llama.cpp is loaded."""
    os.environ.update(WAIT_POLICY | os.environ)


def _open(config: Config, progress: Progress) -> Opened:
    if config.engine.backend == "sim":
        return open_sim(config)
    check_processor()
    # Only here: loading llama.cpp's libraries takes a second and fixes how its threads wait.
    fix_wait_policy()
    bind_lower_half()
    from edged.engine.open_llama import open_llama

    return open_llama(config, progress)


def _preparer(config: Config, opened: Opened) -> Preparer:
    engine, vocabulary = config.engine, opened.backend.vocabulary
    lengths = Lengths(engine.schema_bytes_max, engine.string_chars_max, engine.array_items_max)
    return Preparer(
        vocabulary=vocabulary,
        form=opened.form,
        constraints=Constraints(vocabulary.guidance, vocabulary.n_tokens, lengths),
        context_tokens=opened.context_tokens,
        answer_tokens=engine.answer_tokens_default,
    )


def measured_pace(backend: Backend) -> Pace:
    """Return the pace of a first few batches.

    The very first one warms caches and page tables, so it does not count.
    """
    token, count = backend.vocabulary.bos or 0, min(PACE_TOKENS, backend.n_batch)
    few = max(1, count // 4)
    _timed(backend, [Run(0, 0, [token] * count, False)])
    many = _timed(backend, [Run(0, count, [token] * count, False)])
    part = _timed(backend, [Run(0, 2 * count, [token] * few, False)])
    backend.drop(0)
    others = range(min(PACE_ROWS, backend.n_sequences, backend.n_batch))
    rows = _timed(backend, [Run(sequence, 0, [token], True) for sequence in others])
    for sequence in others:
        backend.drop(sequence)
    return fitted(part, many, rows)


def _timed(backend: Backend, runs: list[Run]) -> Timed:
    started_s = time.monotonic()
    backend.decode(runs)
    return Timed(sum(len(run.tokens) for run in runs), time.monotonic() - started_s)
