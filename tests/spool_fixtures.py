"""Spools of tests: opened, filled, and put on disks that fail.

In: a folder of the test.  Out: open spools, and a small real file system that can be filled.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from edged import config
from edged.engine.frames import Prompt
from edged.spool.file import Pace
from edged.spool.queue import Spool
from edged.spool.rows import Candidate, Fresh, Full, Job, Row, Settlement, Verdict
from tests.prompt_fixtures import DONE, candidate

LIMITS = config.Spool()
# So that a test need not wait; the rules are the same.
SOON = Pace(tend_s=0.01, retry_s=0.02)
MIB = 2**20
SMALL = config.Spool(bytes_max=MIB)

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
needs_ext4 = pytest.mark.skipif(
    os.geteuid() != 0
    or not Path("/dev/loop-control").exists()
    or not os.access("/sys/fs/ext4", os.W_OK),
    reason="only root can break an ext4, with loop devices and a /sys that can be written",
)


def superseded(row: Row) -> Settlement:
    """Return the outcome of a row whose place another one takes."""
    return Settlement("superseded", 410, f"instead of {row.id}".encode())


def settled(folder: Path) -> int:
    """Return how many prompts of a spool have an outcome; a daemon may be using it."""
    with closing(sqlite3.connect(folder / "spool.db")) as spool:
        (count,) = spool.execute("SELECT count(*) FROM prompt WHERE event IS NOT NULL").fetchone()
    return int(count)


@asynccontextmanager
async def opened(folder: Path, limits: config.Spool = LIMITS) -> AsyncIterator[Spool]:
    """Open a spool; close it at the end."""
    spool = Spool(folder, limits, superseded, SOON)
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


def in_spool(
    folder: Path, scenario: Callable[[Spool], Awaitable[None]], limits: config.Spool = LIMITS
) -> None:
    """Run a scenario on an open spool."""

    async def run() -> None:
        async with asyncio.timeout(120), opened(folder, limits) as spool:
            await scenario(spool)

    asyncio.run(run())


def large(id: str, size_bytes: int = 20_000) -> Candidate:
    """Return a prompt of some size."""
    return candidate(id, id, job=Job(Prompt(payload="x" * size_bytes)))


async def accept(spool: Spool, *candidates: Candidate) -> list[Verdict]:
    """Return the verdicts on a group of prompts."""
    return await spool.accept(candidates)


def reasons(verdicts: list[Verdict]) -> list[str | None]:
    """Return why prompts were refused; None for those that were not."""
    return [verdict.reason if isinstance(verdict, Full) else None for verdict in verdicts]


async def fresh(spool: Spool, *candidates: Candidate) -> list[Row]:
    """Return the new rows of a group of prompts."""
    verdicts = await spool.accept(candidates)
    return [verdict.row for verdict in verdicts if isinstance(verdict, Fresh)]


async def answered(spool: Spool, *candidates: Candidate) -> list[int]:
    """Accept, settle and deliver prompts; return their serials."""
    serials = [row.serial for row in await fresh(spool, *candidates)]
    await spool.settle(dict.fromkeys(serials, DONE))
    await spool.delivered(dict.fromkeys(serials, True))
    return serials


async def until(is_true: Callable[[], bool]) -> None:
    """Let the event loop run until a condition holds.

    Raises:
        TimeoutError: it did not within 30 s.
    """
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110 # conditions of all kinds
            await asyncio.sleep(0.005)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A real file system in memory with so much room."""
    folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def ext4_disk(image: Path, folder: Path) -> Iterator[Path]:
    """An ext4 file system in a file; made if it is not there, checked if it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if image.exists():
        subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True, check=False)
    else:
        image.write_bytes(bytes(32 * MIB))
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    mount("-o", "loop,errors=remount-ro", str(image), str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def break_ext4(folder: Path) -> None:
    """Let ext4 believe that it met an error: it takes no more writes, whoever has files open."""
    command = ["findmnt", "-no", "SOURCE", str(folder)]
    device = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error").write_text("1")


def mount(*arguments: str) -> None:
    """Run mount(8)."""
    subprocess.run(["mount", *arguments], check=True)


def fill_disk(folder: Path) -> Path:
    """Take all the room that is left, as another program would; return the file that has it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size_bytes in (65_536, 4096):
            write_until_full(file.fileno(), bytes(size_bytes))
    return filler


def write_until_full(file: int, block: Sequence[int] | bytes) -> None:
    """Append blocks until the disk takes no more."""
    while True:
        try:
            os.write(file, bytes(block))
        except OSError:
            return


def clock_moved(folder: Path, by_s: float) -> None:
    """Let the spool's clock go on as if `by_s` seconds had passed while it was closed."""
    with sqlite3.connect(folder / "spool.db") as database:
        database.execute("UPDATE clock SET spool_s = spool_s + ?", (by_s,))
    database.close()
