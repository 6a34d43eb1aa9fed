"""How fast llama.cpp alone is on this machine: what no engine around it can beat.

In:  a model, a number of threads.     Out: `Rates`.
`pp512` is what llama-bench calls so: tokens per second of a prefill of 512. A row is the product
with the output matrix that each sampled token needs on top, in a batch of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from edged.bench.system import Setting
from edged.engine.backend import Run
from edged.engine.llama import Llama, Shape

PREFILL_TOKENS = 512
ROWS = 64
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Rates:
    """Measured speed.

    Attributes:
        prefill_tokens_per_s: pp512.
        row_s: of the output matrix, per sampled token.
    """

    prefill_tokens_per_s: float
    row_s: float


def measured_rates(setting: Setting) -> Rates:
    """Load the model and measure it."""
    shape = Shape(
        n_cells=2 * PREFILL_TOKENS,
        n_batch=PREFILL_TOKENS,
        n_sequences=ROWS,
        n_threads=setting.threads,
    )
    llama = Llama(setting.model, shape, lambda share: True)
    try:
        prefill_s = _median_s(lambda: _decode(llama, [_run(0, PREFILL_TOKENS, is_sampled=True)]))
        rows_s = _median_s(lambda: _decode(llama, _singles(is_sampled=True)))
        plain_s = _median_s(lambda: _decode(llama, _singles(is_sampled=False)))
    finally:
        llama.close()
    return Rates(PREFILL_TOKENS / prefill_s, max(0.0, rows_s - plain_s) / ROWS)


def _singles(*, is_sampled: bool) -> list[Run]:
    return [_run(sequence, 1, is_sampled=is_sampled) for sequence in range(ROWS)]


def _run(sequence: int, count: int, *, is_sampled: bool) -> Run:
    # Any tokens do: what they cost does not depend on what they say.
    return Run(sequence, 0, [100 + place % 97 for place in range(count)], is_sampled)


def _decode(llama: Llama, runs: list[Run]) -> None:
    llama.decode(runs)
    for run in runs:
        llama.drop(run.sequence)


def _median_s(act: Callable[[], None]) -> float:
    """Return the median seconds of an act; the first one warms caches and does not count."""
    act()
    return statistics.median(_seconds(act) for _ in range(REPEATS))


def _seconds(act: Callable[[], None]) -> float:
    began_s = time.perf_counter()
    act()
    return time.perf_counter() - began_s
