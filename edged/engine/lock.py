"""One engine per state directory: two on one board would share its memory, or its NPU.

In:  the state directory.     Out: a lock held until the block ends; the kernel frees it if we die.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.errors import ConfigError, EngineUnusable


@contextmanager
def engine_lock(state_dir: Path) -> Iterator[None]:
    """Hold the engine's lock.

    Raises:
        EngineUnusable: another engine holds it.
        ConfigError: the state directory cannot be written.
    """
    path = state_dir / "engine.lock"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise ConfigError(f"node.state_dir = {state_dir}: cannot be written: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise EngineUnusable(
                f"another engine (process {file.read().strip() or 'unknown'}) holds {path}; "
                "one engine serves a state directory: end that one first"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
