"""Which commits of the spool reach the disk before they return.

Method: a process with a library before libc that counts its syncs takes a prompt all the way.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest

from edged.spool.queue import Spool
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import LIMITS, fresh, superseded

SOURCE = Path(__file__).with_name("count_syncs.c")


@pytest.fixture(scope="module")
def syncs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Return how often each step of a prompt synced."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("syncs")
    library = folder / "count_syncs.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True
    )
    command = [sys.executable, "-m", "tests.test_spool_sync", str(folder)]
    environment = os.environ | {"LD_PRELOAD": str(library)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    counted: dict[str, int] = json.loads(done.stdout)
    return counted


@pytest.mark.parametrize("step", ["accept", "start of a stream", "settle"])
def test_what_is_told_to_a_device_is_synced_before(syncs: dict[str, int], step: str) -> None:
    assert syncs[step] == 1


@pytest.mark.parametrize("step", ["start", "delivered"])
def test_what_a_power_cut_may_take_back_waits_for_no_disk(syncs: dict[str, int], step: str) -> None:
    assert syncs[step] == 0


async def _walked(folder: Path) -> dict[str, int]:
    """Take a prompt all the way; count the syncs of each step."""
    spool = Spool(folder, LIMITS, superseded)
    await spool.open()
    # The first commit of a log syncs its header too.
    [streamed] = await fresh(spool, candidate("before", stream=True))
    count = ctypes.c_int.in_dll(ctypes.CDLL(None), "syncs")
    counts = {}

    async def counted(step: str, work: Awaitable[object]) -> None:
        before = count.value
        await work
        counts[step] = count.value - before

    prompt = candidate("one")
    await counted("accept", spool.accept([prompt]))
    row = spool.rows.find(prompt.client, prompt.id)
    assert row is not None
    serial = row.serial
    await counted("start", spool.start([serial]))
    await counted("start of a stream", spool.start([streamed.serial]))
    await counted("settle", spool.settle({serial: DONE}))
    await counted("delivered", spool.delivered({serial: True}))
    await spool.close()
    return counts


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_walked(Path(sys.argv[1])))))
