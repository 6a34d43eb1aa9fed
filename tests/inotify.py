"""Hears which files of a folder any process opens or writes, by the kernel's inotify.

In:  folders.     Out: moments and names.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

# Source: inotify(7) and linux/inotify.h.
MODIFY, OPEN, NONBLOCK = 0x2, 0x20, os.O_NONBLOCK
IS_FOLDER = 0x40000000
HEAD = struct.Struct("iIII")
_LIBC = ctypes.CDLL(None, use_errno=True)


class Listener:
    """Hears files of some folders while its block runs."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._file = _LIBC.inotify_init1(NONBLOCK)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        for folder in folders:
            path = os.fsencode(folder)
            if _LIBC.inotify_add_watch(self._file, path, MODIFY | OPEN) < 0:
                raise OSError(ctypes.get_errno(), f"inotify_add_watch {folder}")

    def heard(self, for_s: float) -> list[tuple[float, str]]:
        """Return what is opened or written in so many seconds: when, and which file."""
        found: list[tuple[float, str]] = []
        end_s = time.monotonic() + for_s
        while (left_s := end_s - time.monotonic()) > 0:
            if select.select([self._file], [], [], left_s)[0]:
                found += [(time.monotonic(), name) for name in _names(os.read(self._file, 1 << 16))]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)


def _names(events: bytes) -> list[str]:
    """Return the files' names; folders that are only walked through are left out."""
    found, place = [], 0
    while place < len(events):
        _, mask, _, length = HEAD.unpack_from(events, place)
        place += HEAD.size
        name = events[place : place + length].rstrip(b"\0").decode()
        place += length
        if name and not mask & IS_FOLDER:
            found.append(name)
    return found


def looks(heard: Iterable[tuple[float, str]], apart_s: float = 0.3) -> int:
    """Return at how many moments something was heard; what is close together is one look."""
    count, last_s = 0, -apart_s
    for at_s, _ in heard:
        count += at_s - last_s >= apart_s
        last_s = at_s
    return count
