"""Keeps the engine's share of the board's memory small.

In, out: nothing. Loading a model leaves holes in C's heap: the file's header, the vocabulary on its
way from one library to the other. The allocator keeps them, and the process never needs so much
again; and it keeps them once for each thread.
"""

from __future__ import annotations

import ctypes
import gc

# Source: malloc.h of glibc.
_M_ARENA_MAX = -8


def share_one() -> None:
    """Let the threads to come share one heap, where the C library knows how.

    Source: mallopt(3). One thread at a time computes answers: the others seldom ask for memory.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(ctypes.c_int(_M_ARENA_MAX), ctypes.c_int(1))


def give_back() -> None:
    """Return what is free in the heaps to the kernel, where the C library knows how.

    Source: malloc_trim(3), glibc: all arenas, whole pages.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
