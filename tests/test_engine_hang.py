"""An engine that may run nothing is not one that hangs; one whose step hangs is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edged.engine.frames import (
    Frame,
    Held,
    Hello,
    Limits,
    Measure,
    Measured,
    Prompt,
    Ready,
    Step,
    encode,
)
from edged.engine.patience import HANG_S_UNKNOWN
from edged.engine.protocol import PROTOCOL_VERSION
from edged.engine.stream import read_frame
from edged.errors import EngineLost
from tests.client_fixtures import ALL, NOTHING, WAIT_S, Clock, connected, event
from tests.engine_fixtures import work, write_config
from tests.worker_fixtures import bench, stepping


def simulated(folder: Path) -> Path:
    """Write the configuration of a simulated engine."""
    return write_config(folder, engine={"backend": "sim"})


def test_what_the_limits_keep_out_is_told_with_every_frame_and_runs_later() -> None:
    with bench() as scene:
        scene.put(NOTHING, work("a", max_tokens=3), work("b", max_tokens=3))
        with stepping(scene):
            assert scene.daemon.until(Held).sequences == 2
            scene.put(NOTHING)
            assert scene.daemon.until(Held).sequences == 2
            assert scene.daemon.steps == []
            scene.put(ALL)
            assert scene.daemon.outcome("a").finish in ("stop", "length")
            assert scene.daemon.outcome("b").finish in ("stop", "length")


def test_who_outgrew_a_smaller_context_is_told_of_too() -> None:
    with bench() as scene:
        scene.put(Limits(40, 8, 1e9), work("long", "x" * 60, max_tokens=3))
        with stepping(scene):
            assert scene.daemon.until(Held).sequences == 1


def test_an_idle_engine_says_nothing_of_the_kind() -> None:
    with bench() as scene:
        scene.put(NOTHING)
        with stepping(scene):
            scene.daemon.until_silent(0.1)
        assert scene.daemon.frames == []


@pytest.mark.model
def test_an_engine_that_may_run_nothing_is_not_killed(tmp_path: Path) -> None:
    async def run() -> None:
        clock = Clock()
        async with connected(simulated(tmp_path), clock) as client:
            await event(client, Ready)
            client.expect("a")
            client.send(NOTHING)
            client.send(work("a", max_tokens=3))
            for _ in range(4):
                clock.now_s += HANG_S_UNKNOWN - 1
                client.send(NOTHING)
                await event(client, Held)
                client.end_hung()
            client.send(ALL)
            step = await event(client, Step)
            while not step.outcomes:
                step = await event(client, Step)
            assert step.outcomes[0].id == "a"

    asyncio.run(run())


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be killed in the place of a hung engine."""
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    yield process
    process.kill()
    process.communicate()


@asynccontextmanager
async def hung_engine(folder: Path, pid: int) -> AsyncIterator[None]:
    """Listen like an engine whose step thread hangs: its intake still counts tokens."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said: list[Frame] = [Hello(PROTOCOL_VERSION, pid), Ready("m", "sha256:0", "sim", 99, 9, 0)]
        writer.writelines(map(encode, said))
        try:
            while True:
                frame = await read_frame(reader)
                if isinstance(frame, Measure):
                    writer.write(encode(Measured(frame.id, 7)))
        except EngineLost:
            writer.close()

    async with await asyncio.start_unix_server(serve, folder / "engine.sock"):
        yield


def test_a_hung_step_is_found_even_while_tokens_are_counted(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    async def run() -> None:
        clock = Clock()
        async with (
            hung_engine(tmp_path, bystander.pid),
            connected(simulated(tmp_path), clock) as client,
        ):
            await event(client, Ready)
            client.expect("a")
            clock.now_s += HANG_S_UNKNOWN - 1
            assert None not in await client.measure([(Prompt(payload="x"), None, "json")], WAIT_S)
            client.end_hung()
            assert bystander.poll() is None
            clock.now_s += 2
            client.end_hung()

    asyncio.run(run())
    assert bystander.wait(WAIT_S) < 0
