"""One process per lock file: the daemon's and the engine's way to be the only one.

In:  a path in the state directory.     Out: a lock held until the block ends; the kernel frees it
when the process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edged.errors import ConfigError, EdgedError


@contextmanager
def only_holder(
    path: Path, taken: Callable[[str], EdgedError], key: str = "node.state_dir"
) -> Iterator[None]:
    """Hold the lock file at `path`.

    Args:
        path: the file; its folder is made.
        taken: makes the error of a lock that another process holds, given that one's id.
        key: the configuration's key that chose the folder, for the error.

    Raises:
        ConfigError: the folder cannot be written.
        EdgedError: what `taken` makes.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A new one is its user's alone: whoever may open it may hold it.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+")
    except OSError as error:
        raise ConfigError(
            f"{key} = {path.parent}: {error}; it must be a folder edged's user can write"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise taken(file.read().strip() or "unknown") from error
        _say_who(file.fileno())
        yield


def _say_who(file: int) -> None:
    """Write this process's id into the lock file, for whoever finds the lock taken."""
    # On a full disk the lock holds too, and nobody is told whose it is.
    with suppress(OSError):
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
