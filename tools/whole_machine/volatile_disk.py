"""A disk with a write cache that forgets: what was not flushed may be lost when the power goes.

In:  a raw image, a UNIX socket for QEMU (NBD).     Out: reads, writes and flushes of a guest; at an
order, an image of what the disk would hold if the power went now.

The model: a write is in the cache until the next flush, and nowhere else. At a cut each sector of
512 bytes keeps, apart from all others, one of its versions since the last flush, or the flushed
one. So writes are lost, reordered, and torn between sectors; a sector itself is whole. That is what
a disk with a volatile cache may do, and more than most do. Killing QEMU over a file would lose
nothing that the guest's kernel had written: the host keeps it.

    python3 -m tools.whole_machine.volatile_disk IMAGE SOCKET

takes orders on its standard input and answers with a line: `hold REQUESTS`, from when on the
disk stands still in the middle of what a guest writes; `cut FILE SEED`; `release`, unanswered.

Source: the NBD protocol, doc/proto.md of NetworkBlockDevice/nbd.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import struct
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SECTOR_BYTES = 512

# Newstyle negotiation.
GREETING = struct.pack(">QQH", 0x4E42444D41474943, 0x49484156454F5054, 0b11)
OPTION = struct.Struct(">QII")
OPTION_REPLY, OPTION_REPLY_MAGIC = struct.Struct(">QIII"), 0x3E889045565A9
ABORT, GO = 2, 7
ACK, INFO, UNSUPPORTED = 1, 3, 2**31 + 1
# Of the export: flags are there, and it wants flushes; no forced writes, so that a barrier is one.
EXPORT = struct.Struct(">HQH")
FLAGS = 0b101

# Where a guest writes nothing for so long, the disk is held with nothing in its cache.
HOLD_S_MAX = 10.0

REQUEST, REQUEST_MAGIC = struct.Struct(">IHHQQI"), 0x25609513
REPLY, REPLY_MAGIC = struct.Struct(">IIQ"), 0x67446698
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
EINVAL = 22


@dataclass(frozen=True, slots=True)
class Cut:
    """What a cut did: sectors with unflushed versions, and how many of them went back."""

    unflushed: int
    lost: int


class VolatileDisk:
    """An image and the versions of its sectors that no flush has reached.

    Args:
        image: a raw image; its length is a multiple of the sector's.
    """

    def __init__(self, image: Path) -> None:
        self.size_bytes = image.stat().st_size
        self._image = image
        self._file = os.open(image, os.O_RDWR)
        self._cache: dict[int, list[bytes]] = defaultdict(list)

    @property
    def unflushed(self) -> int:
        """Return how many sectors have versions that no flush has reached."""
        return len(self._cache)

    def read(self, offset: int, length: int) -> bytes:
        """Return what the guest wrote last."""
        data = bytearray(os.pread(self._file, length, offset))
        for place in range(0, length, SECTOR_BYTES):
            versions = self._cache.get((offset + place) // SECTOR_BYTES)
            if versions:
                data[place : place + SECTOR_BYTES] = versions[-1]
        return bytes(data)

    def write(self, offset: int, data: bytes) -> None:
        """Keep whole sectors in the cache."""
        for place in range(0, len(data), SECTOR_BYTES):
            sector = (offset + place) // SECTOR_BYTES
            self._cache[sector].append(data[place : place + SECTOR_BYTES])

    def flush(self) -> None:
        """Make all that was written before durable."""
        self._write_to(self._file, {sector: held[-1] for sector, held in self._cache.items()})
        self._cache.clear()

    def cut(self, target: Path, chance: random.Random) -> Cut:
        """Write what the disk would hold after a cut now to another image."""
        survivors = {}
        for sector, versions in self._cache.items():
            kept = chance.randrange(len(versions) + 1)
            if kept:
                survivors[sector] = versions[kept - 1]
        # Copies no holes, which are most of a disk.
        copy = ["cp", "--sparse=always", "--reflink=auto", str(self._image), str(target)]
        subprocess.run(copy, check=True)
        with target.open("r+b") as file:
            self._write_to(file.fileno(), survivors)
        whole = sum(survivors.get(sector) == held[-1] for sector, held in self._cache.items())
        return Cut(len(self._cache), len(self._cache) - whole)

    def close(self) -> None:
        """Close the image, and forget what was not flushed."""
        os.close(self._file)

    def _write_to(self, file: int, sectors: dict[int, bytes]) -> None:
        for sector, data in sectors.items():
            os.pwrite(file, data, sector * SECTOR_BYTES)


class Server:
    """Speaks NBD for a disk, one client at a time."""

    def __init__(self, disk: VolatileDisk) -> None:
        self._disk = disk
        self._moves, self._stands = asyncio.Event(), asyncio.Event()
        self._moves.set()
        self._left = 0

    async def hold(self, requests: int, within_s: float = HOLD_S_MAX) -> int:
        """Stand still after so many requests that left something unflushed; return how much.

        A commit writes, flushes and writes again: a cut at any other moment loses nothing. What is
        asked from then on waits until `release`.
        """
        self._left = requests
        self._stands.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._stands.wait()
        self._left = 0
        self._moves.clear()
        return self._disk.unflushed

    def release(self) -> None:
        """Serve again."""
        self._moves.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client to its end."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            if await self._negotiate(reader, writer):
                await self._transmit(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _negotiate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Agree on the export; return whether the client wants it."""
        writer.write(GREETING)
        await reader.readexactly(4)
        while True:
            _, option, length = OPTION.unpack(await reader.readexactly(OPTION.size))
            await reader.readexactly(length)
            if option == GO:
                export = EXPORT.pack(0, self._disk.size_bytes, FLAGS)
                writer.write(_option_reply(option, INFO, export) + _option_reply(option, ACK))
                return True
            writer.write(_option_reply(option, ACK if option == ABORT else UNSUPPORTED))
            if option == ABORT:
                return False

    async def _transmit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(REQUEST.size)
            _, _, kind, handle, offset, length = REQUEST.unpack(head)
            if kind == DISCONNECT:
                return
            sent = await reader.readexactly(length) if kind == WRITE else b""
            await self._moves.wait()
            error, answer = self._carry_out(kind, offset, length, sent)
            writer.write(REPLY.pack(REPLY_MAGIC, error, handle) + answer)
            await writer.drain()
            self._count()

    def _count(self) -> None:
        if self._left and self._disk.unflushed:
            self._left -= 1
            if not self._left:
                self._moves.clear()
                self._stands.set()

    def _carry_out(self, kind: int, offset: int, length: int, sent: bytes) -> tuple[int, bytes]:
        if offset % SECTOR_BYTES or length % SECTOR_BYTES or kind not in (READ, WRITE, FLUSH):
            return EINVAL, b""
        if kind == READ:
            return 0, self._disk.read(offset, length)
        if kind == WRITE:
            self._disk.write(offset, sent)
        else:
            self._disk.flush()
        return 0, b""


def _option_reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, kind, len(data)) + data


async def serve(disk: VolatileDisk, address: str) -> None:
    """Serve a disk and obey standard input until it ends."""
    server = Server(disk)
    async with await asyncio.start_unix_server(server.serve, address):
        print("listening", flush=True)
        while order := (await asyncio.to_thread(sys.stdin.readline)).split():
            match order:
                case ["hold", requests]:
                    print(await server.hold(int(requests)), flush=True)
                case ["cut", target, seed]:
                    done = disk.cut(Path(target), random.Random(int(seed)))
                    print(json.dumps(asdict(done)), flush=True)
                case _:
                    server.release()


def main(arguments: Sequence[str]) -> int:
    """Read the command line and serve; 2 when it cannot be read."""
    if len(arguments) != 2:
        print("usage: python3 -m tools.whole_machine.volatile_disk IMAGE SOCKET", file=sys.stderr)
        return 2
    disk = VolatileDisk(Path(arguments[0]))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(disk, arguments[1]))
    disk.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
