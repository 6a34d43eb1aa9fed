"""The disk of the power cuts forgets what was not flushed, and nothing else."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tools.whole_machine.volatile_disk import (
    DISCONNECT,
    FLUSH,
    GO,
    OPTION,
    OPTION_REPLY,
    READ,
    REPLY,
    REQUEST,
    REQUEST_MAGIC,
    SECTOR_BYTES,
    WRITE,
    Server,
    VolatileDisk,
)

SECTORS = 64
OLD, NEW, NEWER = (bytes([value]) * SECTOR_BYTES for value in (0, 1, 2))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(OLD * SECTORS)
    return path


def sector(image: Path, number: int) -> bytes:
    """Return a sector of an image."""
    return image.read_bytes()[number * SECTOR_BYTES : (number + 1) * SECTOR_BYTES]


def after_cut(disk: VolatileDisk, target: Path, seed: int) -> Path:
    """Return the image that a cut leaves."""
    disk.cut(target, random.Random(seed))
    return target


def test_a_guest_reads_what_it_wrote_before_any_flush(image: Path) -> None:
    disk = VolatileDisk(image)
    disk.write(SECTOR_BYTES, NEW + NEWER)
    assert disk.read(0, 4 * SECTOR_BYTES) == OLD + NEW + NEWER + OLD


def test_what_was_flushed_survives_every_cut(image: Path, tmp_path: Path) -> None:
    disk = VolatileDisk(image)
    disk.write(0, NEW * SECTORS)
    disk.flush()
    for seed in range(20):
        assert after_cut(disk, tmp_path / "cut", seed).read_bytes() == NEW * SECTORS


def test_what_was_not_flushed_is_lost_in_part(image: Path, tmp_path: Path) -> None:
    disk = VolatileDisk(image)
    disk.write(0, NEW * SECTORS)
    cut = disk.cut(tmp_path / "cut", random.Random(1))
    kept = [sector(tmp_path / "cut", number) for number in range(SECTORS)]
    assert set(kept) == {OLD, NEW}
    assert (cut.unflushed, cut.lost) == (SECTORS, kept.count(OLD))


def test_a_cut_may_leave_any_version_since_the_flush(image: Path, tmp_path: Path) -> None:
    disk = VolatileDisk(image)
    disk.write(0, NEW)
    disk.write(0, NEWER)
    left = {sector(after_cut(disk, tmp_path / "cut", seed), 0) for seed in range(40)}
    assert left == {OLD, NEW, NEWER}


def test_a_cut_changes_nothing_for_a_machine_that_runs_on(image: Path, tmp_path: Path) -> None:
    disk = VolatileDisk(image)
    disk.write(0, NEW)
    disk.cut(tmp_path / "cut", random.Random(1))
    assert disk.read(0, SECTOR_BYTES) == NEW
    disk.flush()
    assert sector(image, 0) == NEW


def test_the_same_seed_leaves_the_same_disk(image: Path, tmp_path: Path) -> None:
    disk = VolatileDisk(image)
    disk.write(0, NEW * SECTORS)
    one, other = (after_cut(disk, tmp_path / name, 7) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_a_client_of_nbd_writes_flushes_and_reads(image: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected(Server(VolatileDisk(image)), tmp_path) as (reader, writer):
            await asked(reader, writer, (WRITE, 0, len(NEW)), NEW)
            assert sector(image, 0) == OLD
            await asked(reader, writer, (FLUSH, 0, 0))
            assert sector(image, 0) == NEW
            await asked(reader, writer, (READ, 0, 2 * SECTOR_BYTES))
            assert await reader.readexactly(2 * SECTOR_BYTES) == NEW + OLD

    asyncio.run(scenario())


def test_a_held_disk_stands_still_with_something_unflushed_until_it_is_released(
    image: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        disk = VolatileDisk(image)
        server = Server(disk)
        async with connected(server, tmp_path) as (reader, writer):
            held = asyncio.create_task(server.hold(2))
            await asked(reader, writer, (FLUSH, 0, 0))  # leaves nothing unflushed
            await asked(reader, writer, (WRITE, 0, len(NEW)), NEW)
            assert not held.done()
            await asked(reader, writer, (READ, 0, SECTOR_BYTES))
            assert await reader.readexactly(SECTOR_BYTES) == NEW
            assert await held == 1
            flushed = asyncio.create_task(asked(reader, writer, (FLUSH, 0, 0)))
            await asyncio.sleep(0)
            assert sector(image, 0) == OLD
            server.release()
            await flushed
            assert sector(image, 0) == NEW

    asyncio.run(scenario())


def test_a_disk_to_which_nothing_is_written_is_held_all_the_same_and_once(
    image: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        server = Server(VolatileDisk(image))
        async with connected(server, tmp_path) as (reader, writer):
            assert await server.hold(1, within_s=0) == 0
            server.release()
            for _ in range(2):
                await asked(reader, writer, (WRITE, 0, len(NEW)), NEW)

    asyncio.run(scenario())


@asynccontextmanager
async def connected(
    server: Server, folder: Path
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect as QEMU does until the block ends."""
    address = str(folder / "disk.sock")
    async with await asyncio.start_unix_server(server.serve, address):
        reader, writer = await asyncio.open_unix_connection(address)
        assert await negotiated(reader, writer) == SECTORS * SECTOR_BYTES
        try:
            yield reader, writer
        finally:
            writer.write(REQUEST.pack(REQUEST_MAGIC, 0, DISCONNECT, 18, 0, 0))
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()


async def negotiated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Ask for the export as QEMU does; return its size."""
    await reader.readexactly(18)
    writer.write(struct.pack(">I", 3) + OPTION.pack(0x49484156454F5054, 8, 0))
    *_, unsupported, _ = OPTION_REPLY.unpack(await reader.readexactly(OPTION_REPLY.size))
    assert unsupported >= 2**31
    writer.write(OPTION.pack(0x49484156454F5054, GO, 6) + struct.pack(">IH", 0, 0))
    await reader.readexactly(OPTION_REPLY.size)
    _, size_bytes, _ = struct.unpack(">HQH", await reader.readexactly(12))
    await reader.readexactly(OPTION_REPLY.size)
    return int(size_bytes)


async def asked(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: tuple[int, int, int],
    data: bytes = b"",
) -> None:
    """Send a request and take the head of its reply."""
    kind, offset, length = request
    writer.write(REQUEST.pack(REQUEST_MAGIC, 0, kind, 17, offset, length) + data)
    _, error, handle = REPLY.unpack(await reader.readexactly(REPLY.size))
    assert (error, handle) == (0, 17)
