"""Keeps what the runtime prints on standard output.

In:  a block in which the library runs.     Out: its lines, in a file that outlives a crash.
Threads: file descriptor 1 belongs to the whole process; the engine itself prints nothing there.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

STDOUT = 1


@contextmanager
def captured(path: Path) -> Iterator[Callable[[], str]]:
    """Send standard output to `path`; what is yielded returns the text, after the block too."""
    print_at_once()
    kept = os.dup(STDOUT)
    try:
        with path.open("wb") as file:
            os.dup2(file.fileno(), STDOUT)
            try:
                yield lambda: path.read_text(encoding="utf-8", errors="replace")
            finally:
                os.dup2(kept, STDOUT)
    finally:
        os.close(kept)


def print_at_once() -> None:
    """Let C print each line as it comes: where the output is no terminal, a crash loses lines.

    Source: setvbuf(3); 2 is _IONBF in glibc and musl.
    """
    c = ctypes.CDLL(None)
    c.setvbuf(ctypes.c_void_p.in_dll(c, "stdout"), None, 2, ctypes.c_size_t(0))
