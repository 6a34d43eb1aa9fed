"""Gives freed memory back to the board.

In, out: nothing. Loading a model leaves holes in C's heap: the file's header, the vocabulary on its
way from one library to the other. The allocator keeps them, and the process never needs so much
again.
"""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Return what is free in the heaps to the kernel, where the C library knows how.

    Source: malloc_trim(3), glibc: all arenas, whole pages.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
