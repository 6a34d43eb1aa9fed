"""Stands between daemon and engine and writes down when each prompt was handed over.

In:  the daemon's connection to a UNIX socket.     Out: the same bytes to the engine's socket; a
JSON line for each `work` frame: which row, at which second of CLOCK_BOOTTIME, in which boot.
An inference that nobody may see any more is seen here. Frames are read as the wire has them, not
with edged's own reader.

    python3 -m tools.crash.engine_tap LISTEN_SOCKET ENGINE_SOCKET FILE
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
import time
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

# A frame is a 4-byte big-endian length and a JSON object.
LENGTH = struct.Struct(">I")
CHUNK_BYTES = 65_536
# An engine that is not there cannot be waited for.
POLL_S = 0.02

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def boot_id() -> str:
    """Return what names this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Tap:
    """Serves one daemon at a time; a new one takes the place of the old, as at the engine.

    Args:
        engine: the engine's socket.
        file: for the lines.
    """

    def __init__(self, engine: Path, file: FileIO) -> None:
        self._engine = engine
        self._file = file
        self._boot = boot_id()
        self._serving: asyncio.Task[None] | None = None

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a daemon from now on, and no other."""
        if self._serving is not None:
            self._serving.cancel()
        self._serving = asyncio.create_task(self._serve((reader, writer)))

    async def _serve(self, daemon: Stream) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(daemon[1].transport.abort)
            engine = await self._connected()
            stack.callback(engine[1].transport.abort)
            ways = [
                asyncio.create_task(self._watch(daemon[0], engine[1])),
                asyncio.create_task(_pass(engine[0], daemon[1])),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()

    async def _connected(self) -> Stream:
        while True:
            with contextlib.suppress(OSError):
                return await asyncio.open_unix_connection(self._engine)
            await asyncio.sleep(POLL_S)

    async def _watch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass the daemon's frames on, each `work` after it is written down."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(LENGTH.size)
                body = await reader.readexactly(*LENGTH.unpack(head))
                self._note(json.loads(body))
                writer.write(head + body)
                await writer.drain()

    def _note(self, frame: dict[str, object]) -> None:
        if frame["kind"] == "work":
            seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
            line = {"boot": self._boot, "serial": frame["id"], "boottime_s": seconds}
            self._file.write(json.dumps(line).encode() + b"\n")


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


async def serve(listen: Path, engine: Path, lines: Path) -> None:
    """Serve until cancelled."""
    with FileIO(lines, "ab") as file:
        server = await asyncio.start_unix_server(Tap(engine, file).accept, listen)
        print("listening", flush=True)
        async with server:
            await server.serve_forever()


def main(arguments: Sequence[str]) -> int:
    """Read the command line and serve; 2 when it cannot be read."""
    if len(arguments) != 3:
        print("usage: python3 -m tools.crash.engine_tap LISTEN ENGINE FILE", file=sys.stderr)
        return 2
    listen, engine, lines = map(Path, arguments)
    listen.unlink(missing_ok=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(listen, engine, lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
