"""Folders in memory: for trees of hundreds of files, and for files that are fsynced often."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one; imported by a module, it takes pytest's place."""
    with tempfile.TemporaryDirectory(prefix="edged-test-", dir=MEMORY) as name:
        yield Path(name)
