"""The engine's heap: what its threads ask for comes from one."""

from __future__ import annotations

import subprocess
import sys

# Threads that live at the same time each ask C for memory; malloc_info(3) lists the heaps.
THREADS = """
import ctypes, sys, threading
from edged.engine.heap import share_one
c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
c.fdopen.restype = ctypes.c_void_p
if sys.argv[1] == "shared":
    share_one()
together = threading.Barrier(4)
def ask():
    c.malloc(1000)
    together.wait()
threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
out = c.fdopen(1, b"w")
c.malloc_info(0, ctypes.c_void_p(out))
c.fflush(ctypes.c_void_p(out))
"""


def heaps(how: str) -> int:
    """Return how many heaps four threads leave behind."""
    command = [sys.executable, "-c", THREADS, how]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return told.count("<heap nr=")


def test_threads_share_one_heap() -> None:
    assert heaps("shared") == 1


def test_threads_that_do_not_share_make_several() -> None:
    assert heaps("alone") > 1
