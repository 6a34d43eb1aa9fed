"""An engine that may run nothing is not one that hangs; one whose step hangs is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edged.engine.client import UNREAD_BYTES_MAX
from edged.engine.frames import Held, Hello, Limits, Prompt, Ready, Step, Wire, encode
from edged.engine.patience import HANG_S_UNKNOWN
from edged.engine.protocol import PROTOCOL_VERSION
from tests.client_fixtures import ALL, NOTHING, WAIT_S, Clock, connected, event
from tests.engine_fixtures import work, write_config
from tests.worker_fixtures import bench, stepping

JSON: Wire = "json"


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


# An engine whose step thread hangs: it still counts tokens. Its Hello names another process.
HUNG = """
    import asyncio, sys
    from edged.engine.frames import Hello, Measure, Measured, Ready, encode
    from edged.engine.protocol import PROTOCOL_VERSION
    from edged.engine.stream import read_frame

    async def serve(reader, writer):
        hello = Hello(PROTOCOL_VERSION, int(sys.argv[2]))
        writer.writelines(map(encode, [hello, Ready("m", "sha256:0", "sim", 99, 9, 0)]))
        while True:
            frame = await read_frame(reader)
            if isinstance(frame, Measure):
                writer.write(encode(Measured(frame.id, 7)))

    async def listen():
        async with await asyncio.start_unix_server(serve, sys.argv[1]):
            print("listens", flush=True)
            await asyncio.Event().wait()

    asyncio.run(listen())
"""


@contextmanager
def child(code: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that says when it is there."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no engine."""
    with child("print('here', flush=True); input()") as process:
        yield process


@pytest.fixture
def hung(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Let a hung engine listen."""
    with child(HUNG, str(tmp_path / "engine.sock"), str(bystander.pid)) as process:
        yield process


def test_a_hung_step_is_found_even_while_tokens_are_counted(
    tmp_path: Path, hung: subprocess.Popen[bytes]
) -> None:
    async def run() -> None:
        clock = Clock()
        async with connected(simulated(tmp_path), clock) as client:
            await event(client, Ready)
            client.expect("a")
            clock.now_s += HANG_S_UNKNOWN - 1
            assert None not in await client.measure([(Prompt(payload="x"), None, "json")], WAIT_S)
            client.end_hung()
            assert hung.poll() is None
            clock.now_s += 2
            client.end_hung()

    asyncio.run(run())
    assert hung.wait(WAIT_S) < 0


def test_who_is_killed_is_who_listens_whatever_it_says_of_itself(
    tmp_path: Path, hung: subprocess.Popen[bytes], bystander: subprocess.Popen[bytes]
) -> None:
    async def run() -> None:
        async with connected(simulated(tmp_path), clock := Clock()) as client:
            await event(client, Ready)
            client.expect("a")
            clock.now_s += HANG_S_UNKNOWN + 1
            client.end_hung()

    asyncio.run(run())
    assert hung.wait(WAIT_S) < 0
    assert bystander.poll() is None


def test_what_the_daemon_slept_is_no_silence_of_the_engine(
    tmp_path: Path, hung: subprocess.Popen[bytes]
) -> None:
    async def run() -> None:
        async with connected(simulated(tmp_path), clock := Clock()) as client:
            await event(client, Ready)
            client.expect("a")
            clock.now_s += 2 * HANG_S_UNKNOWN
            client.excuse(HANG_S_UNKNOWN + 1)
            client.end_hung()
            assert hung.poll() is None
            clock.now_s += 2
            client.end_hung()

    asyncio.run(run())
    assert hung.wait(WAIT_S) < 0


def test_an_engine_that_reads_nothing_is_asked_little_more(tmp_path: Path) -> None:
    async def run() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(encode(Hello(PROTOCOL_VERSION, 1)))
            writer.write(encode(Ready("m", "sha256:0", "sim", 99, 9, 0)))
            await ended.wait()
            writer.close()

        ended, asks = asyncio.Event(), [(Prompt(payload="x" * 60_000), None, JSON)] * 16
        path = tmp_path / "engine.sock"
        async with (
            await asyncio.start_unix_server(mute, path, limit=1024),
            connected(simulated(tmp_path), Clock()) as client,
        ):
            await event(client, Ready)
            for _ in range(20):
                assert await client.measure(asks, 0.0) == [None] * len(asks)
            ended.set()
            assert client.unread_bytes < 3 * UNREAD_BYTES_MAX

    asyncio.run(run())
