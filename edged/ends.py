"""Prompts that end before they start, cancelled or expired: their outcomes are written in groups.

In:  rows that wait, and what each of them ends as.     Out: groups to settle, one after the other.
Nothing of them starts meanwhile. While the disk will not they wait here, in memory, as the outcomes
of answers do.
Does not know: the spool, MQTT.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from edged.spool.rows import Row

# As large as the groups of prompts: what else wants the disk has its turn in between.
GROUP_MAX = 64


@dataclass(frozen=True, slots=True)
class End:
    """A row that does not start any more, and the event that it ends as."""

    row: Row
    event: str


class Ends:
    """Those that are on their way to the disk.

    Args:
        settle: makes a group durable, however long that takes.
    """

    def __init__(self, settle: Callable[[Collection[End]], Awaitable[None]]) -> None:
        self._settle = settle
        self._ends: dict[int, End] = {}
        self._woken = asyncio.Event()
        self._were_written = asyncio.Event()

    def __contains__(self, serial: object) -> bool:
        return serial in self._ends

    def put(self, row: Row, event: str) -> None:
        """End a row; the first event of each stays."""
        self._ends.setdefault(row.serial, End(row, event))
        self._woken.set()

    async def run(self) -> None:
        """Have all at hand settled, a group at a time, for ever."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while group := list(itertools.islice(self._ends.values(), GROUP_MAX)):
                await self._settle(group)
                for end in group:
                    del self._ends[end.row.serial]
                written, self._were_written = self._were_written, asyncio.Event()
                written.set()

    async def written(self, serials: Collection[int]) -> None:
        """Wait until none of these rows is on its way any more."""
        while any(serial in self._ends for serial in serials):
            await self._were_written.wait()
