"""Where a benchmark keeps its files: in memory where possible, a slow disk is another benchmark."""

from __future__ import annotations

import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")


def in_memory() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that goes away at the end of its block."""
    memory = str(_MEMORY) if _MEMORY.is_dir() else None
    return tempfile.TemporaryDirectory(prefix="edged-bench-", dir=memory)
