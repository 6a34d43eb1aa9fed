"""What prompts would take: who asked the engine, and what it said so far.

In:  prompts, `Measured` frames.     Out: `Measure` frames, what was said in time.
Prompts are asked about in one write, and waited for together.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Sequence

from edged.engine.frames import Measure, Measured, Prompt, Wire

Ask = tuple[Prompt, str | None, Wire]


class Measuring:
    """Prompts that are measured together."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._found: dict[str, Measured] = {}
        self._is_whole = asyncio.Event()

    def take(self, measured: Measured) -> None:
        """Note what one would take; the last one wakes who waits."""
        self._found[measured.id] = measured
        if len(self._found) == len(self._names):
            self._is_whole.set()

    async def told(self, wait_s: float) -> list[Measured | None]:
        """Return what each would take, in order; None where that was not said in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._is_whole.wait()
        return [self._found.get(name) for name in self._names]


class Measures:
    """All that is being measured."""

    def __init__(self) -> None:
        self._open: dict[str, Measuring] = {}
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def asked(self, asks: Sequence[Ask]) -> Iterator[tuple[list[Measure], Measuring]]:
        """Give the frames that ask, and who waits for what comes back; forget them afterwards."""
        names = [str(next(self._numbers)) for _ in asks]
        measuring = Measuring(names)
        self._open |= dict.fromkeys(names, measuring)
        try:
            yield [Measure(name, *ask) for name, ask in zip(names, asks, strict=True)], measuring
        finally:
            for name in names:
                self._open.pop(name, None)

    def take(self, measured: Measured) -> None:
        """Take what the engine said; nobody may wait for it any more."""
        if measured.id in self._open:
            self._open[measured.id].take(measured)
