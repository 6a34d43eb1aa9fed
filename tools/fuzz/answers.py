"""Target: what an engine says, as the daemon reads it.

In:  bytes.     Out: nothing; an exception is a finding.
The rules: the stream is frames, or the engine is lost; whom a step speaks of can be looked up.
"""

from __future__ import annotations

import asyncio
import logging

from edged.batch import is_id
from edged.config import Config
from edged.engine.client import EngineClient
from edged.engine.frames import FRAME_BYTES_MAX, Step
from edged.engine.stream import ids_of, read_frame
from edged.errors import EngineLost
from tools.fuzz.target import Target


def check_answers(data: bytes) -> None:
    """Read what an engine says until it is lost, and do with it as dispatch does."""
    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(_read(data))
    finally:
        logging.disable(logging.NOTSET)


async def _read(data: bytes) -> None:
    client = EngineClient(Config(), None)
    client.is_id = is_id
    reader = asyncio.StreamReader(limit=FRAME_BYTES_MAX)
    reader.feed_data(data)
    reader.feed_eof()
    try:
        while True:
            client._take(await read_frame(reader))
    except EngineLost:
        pass
    while not client.events.empty():
        event = client.events.get_nowait()
        if isinstance(event, Step):
            assert all(isinstance(int(id), int) for id in ids_of(event))


_FRAME = tuple(
    f'"{name}":'.encode()
    for name in ("kind", "id", "shares", "deltas", "outcomes", "finish", "step_s", "tokens")
)

TARGETS = (Target("answers", check_answers, _FRAME, share=1.0),)
