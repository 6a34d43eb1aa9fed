"""A backend with what belongs to its model, and the sizes both kinds are opened with.

In:  the configuration.     Out: `Opened` from `open_llama` or `open_sim`. Pure but for the backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edged.config import Config
from edged.engine.backend import Backend
from edged.engine.canary import Canary
from edged.engine.formats import Format
from edged.engine.ggml.open import Npu
from edged.engine.residents import ROOTS_MAX

# Told the share of the load that is done, 0..1; returns whether to go on.
Progress = Callable[[float], bool]
# Tokens per second no longer grow from about 128 on (measured: x86-64, 2 cores, 0.5 billion
# parameters, 4 bits), and a step of twice as many takes what forced tokens come with the prefill.
BATCH_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Opened:
    """A backend with what belongs to its model.

    Attributes:
        digest: `sha256:` and 64 hex digits.
        context_tokens: prompt plus answer of one sequence, at most.
        npu: what computes part of it; None: the CPU computes all.
    """

    backend: Backend
    name: str
    digest: str
    form: Format
    canary: Canary
    context_tokens: int
    npu: Npu | None = None


def n_cells(config: Config) -> int:
    """Return the tokens that the KV cache holds, whoever they belong to."""
    # llama.cpp pads the KV cache to 256 cells.
    return -(-config.kv_tokens // 256) * 256


def n_batch(config: Config) -> int:
    """Return the tokens of one decode, at most.

    Enough for the full speed of a prefill, and for a chunk and some forced tokens of each sequence.
    """
    least = config.engine.chunk_tokens + 4 * config.model.sequences
    if not (config.uses_npu and config.engine.backend == "llama"):
        return max(BATCH_TOKENS, least)
    # The NPU's backend rounds up to a power of two, and keeps what it made for each for good.
    wanted = max(config.npu.batch_tokens, least)
    return 1 << min((wanted - 1).bit_length(), n_cells(config).bit_length() - 1)


def n_sequences(config: Config) -> int:
    """Return the KV sequence ids: for requests, roots and the canary."""
    return config.model.sequences + ROOTS_MAX + 1
