"""Opens the backend without a model.

In:  the configuration.     Out: `Opened`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edged.board.soc import SOCS
from edged.config import Config
from edged.engine import sim
from edged.engine.canary import ANY_TEXT
from edged.engine.formats import RoleFormat
from edged.engine.opened import Opened, n_batch, n_cells, n_sequences

FORMAT = RoleFormat(
    {
        "system": "<|system|>{content}",
        "user": "<|input|>{content}",
        "assistant": "<|answer|>{content}<|end|>",
    },
    answer="<|answer|>",
)


def open_sim(config: Config) -> Opened:
    """Return the simulated backend; its digest is that of its source."""
    board = config.engine.virtual_board
    backend = sim.Sim(
        n_cells=n_cells(config),
        n_batch=n_batch(config),
        n_sequences=n_sequences(config),
        timing=None if board is None else sim.BoardTiming(SOCS[board]),
    )
    digest = hashlib.sha256(Path(sim.__file__).read_bytes()).hexdigest()
    context_tokens = config.model.context_tokens
    return Opened(backend, "sim", f"sha256:{digest}", FORMAT, ANY_TEXT, context_tokens)
