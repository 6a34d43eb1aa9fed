"""The spool's clock: seconds that never run backwards, over restarts, reboots and wrong dates.

In:  CLOCK_BOOTTIME, the wall clock and whether it is synchronised; what the spool wrote at its last
commit.     Out: seconds of a clock that started at 0 with the spool.
Pure, but for `BoardClock`, which reads the machine.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Source: adjtimex(2): the return value 5, TIME_ERROR, says that the clock is not synchronised.
_TIME_ERROR = 5
_TIMEX_BYTES = 512
_SLEEP_S_MIN = 0.001


@dataclass(frozen=True, slots=True)
class Instant:
    """What the machine's clocks said at one moment.

    Attributes:
        boot_id: another boot has another one.
        boottime_s: CLOCK_BOOTTIME; runs on while the machine is suspended.
        wall_s: Unix time, right only if `synchronised`.
    """

    boot_id: str
    boottime_s: float
    wall_s: float
    synchronised: bool


@dataclass(frozen=True, slots=True)
class Record:
    """The last commit: what the spool's clock and the machine's clocks said then."""

    spool_s: float
    instant: Instant


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where the spool's clock goes on, and whether the time in between is known."""

    spool_s: float
    certain: bool


def resume(record: Record | None, now: Instant) -> Resumed:
    """Return where the clock goes on after the last commit.

    Within one boot CLOCK_BOOTTIME knows. After a reboot the time off counts if the wall clock was
    synchronised on both sides; else the clock goes on from the last commit, and is not certain.
    """
    if record is None:
        return Resumed(0.0, certain=True)
    then = record.instant
    if then.boot_id == now.boot_id:
        return Resumed(record.spool_s + max(0.0, now.boottime_s - then.boottime_s), certain=True)
    if then.synchronised and now.synchronised and now.wall_s >= then.wall_s:
        # The difference first: a sum with the Unix time would round small seconds away.
        return Resumed(record.spool_s + (now.wall_s - then.wall_s), certain=True)
    return Resumed(record.spool_s, certain=False)


def sleep_s(left_s: float) -> float:
    """Return how long to sleep: never so short that rounding makes its end its beginning.

    The event loop counts from another zero than the spool: less than the grain of its clock is
    nothing to it, and who waits for a moment of the spool's would look for it without a pause.
    """
    return max(left_s, _SLEEP_S_MIN)


class MachineClock(Protocol):
    """The clocks of a machine."""

    def boottime_s(self) -> float:
        """Return CLOCK_BOOTTIME."""

    def instant(self) -> Instant:
        """Return what all of them say now."""


class BoardClock:
    """Reads this machine's clocks."""

    def __init__(self) -> None:
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._libc = ctypes.CDLL(None)

    def boottime_s(self) -> float:
        """Return CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def instant(self) -> Instant:
        """Return what the clocks say now."""
        return Instant(
            boot_id=self._boot_id,
            boottime_s=self.boottime_s(),
            wall_s=time.time(),
            synchronised=self._is_synchronised(),
        )

    def _is_synchronised(self) -> bool:
        # struct timex is 208 bytes on 64-bit Linux; all zero means: read only.
        state: int = self._libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        return 0 <= state < _TIME_ERROR


class SpoolClock:
    """Seconds of the spool, from where the last commit left them."""

    def __init__(self, board: MachineClock, record: Record | None) -> None:
        start = board.instant()
        resumed = resume(record, start)
        self._board = board
        self._offset_s = resumed.spool_s - start.boottime_s
        self.certain = resumed.certain

    def now_s(self) -> float:
        """Return the spool's seconds."""
        return self._board.boottime_s() + self._offset_s

    def record(self) -> Record:
        """Return what the next commit is to keep."""
        instant = self._board.instant()
        return Record(instant.boottime_s + self._offset_s, instant)
