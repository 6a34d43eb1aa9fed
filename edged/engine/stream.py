"""Reads frames from the daemon's side of the socket, in its event loop.

In:  an asyncio stream.     Out: frames, or that it ended.
A module of its own: the engine process has no event loop, and asyncio takes some megabytes.
"""

from __future__ import annotations

import asyncio
import contextlib

from edged.engine.frames import FRAME_BYTES_MAX, LENGTH, Frame, Step, decode
from edged.engine.protocol import Foreign
from edged.errors import EngineLost


async def read_frame(reader: asyncio.StreamReader) -> Frame | Foreign:
    """Return the next frame of an asyncio stream.

    Raises:
        EngineLost: the stream ended or carries something else.
    """
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > FRAME_BYTES_MAX:
            raise EngineLost(f"a frame of {length} bytes is over {FRAME_BYTES_MAX}")
        return decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError) as error:
        raise EngineLost("the engine's socket closed") from error


def ids_of(step: Step) -> list[str]:
    """Return whom a step speaks of."""
    deltas, outcomes = (one.id for one in step.deltas), (one.id for one in step.outcomes)
    return [*step.shares, *deltas, *outcomes]


async def ended(reader: asyncio.StreamReader) -> None:
    """Wait until the other side has closed the stream, whatever it says until then."""
    with contextlib.suppress(OSError):
        while await reader.read(FRAME_BYTES_MAX):
            continue
