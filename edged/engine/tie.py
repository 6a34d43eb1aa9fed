"""Ties a process to the one that started it: it is told to end when that one is gone.

In:  a process id.     Out: SIGTERM from the kernel, however the other one ended.
For the engine of a command: a daemon's outlives it, so that the next daemon takes it over.
"""

from __future__ import annotations

import ctypes
import os
import signal

# Source: prctl(2), PR_SET_PDEATHSIG in linux/prctl.h.
_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> bool:
    """Have the kernel send SIGTERM when `parent` ends; return False if it is gone already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent
