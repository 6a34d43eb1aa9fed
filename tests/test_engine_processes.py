"""Engines that do not start, do not speak, cannot be ended, or lose who started them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.config import Config, load
from edged.engine.client import ABSENT_S_MAX, BACKOFF_S_MAX, EngineClient
from edged.engine.patience import ENDS_MAX
from edged.engine.processes import OwnProcesses
from tests.beside import beside
from tests.engine_fixtures import Daemon, engine_process, write_config
from tests.virtual_time import config_of
from tools.simulation.computed import Computed, preparer_of
from tools.simulation.engine import LOAD_S
from tools.simulation.health import Health
from tools.simulation.loop import VirtualLoop, run_virtually
from tools.simulation.processes import Engines

ROOT = Path(__file__).parent.parent
NOBODY = 65_534
WAIT_S = 60.0


class Unwatched:
    """Nobody looks at these engines."""

    def __init__(self) -> None:
        self.health = Health(time.monotonic, print)

    def given(self, *_: Any) -> None: ...

    def stepping(self, *_: Any) -> None: ...

    def told(self, *_: Any) -> None: ...

    def ended(self, *_: Any) -> None: ...

    def killed_in_health(self) -> None: ...


def engines_of(config: Config) -> Engines:
    preparer = preparer_of(config)
    return Engines(config, lambda: Computed(config, preparer, None), Unwatched())


async def living(client: EngineClient, scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario beside a client."""
    async with beside(client.run()):
        await scenario


def test_engines_that_keep_ending_are_said_to_be_broken_and_tried_rarely(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> None:
        engines = engines_of(config)
        engines.keeps_failing = True
        client = EngineClient(config, None, loop.time, engines)

        async def scenario() -> None:
            await asyncio.sleep(60.0)
            assert client.state.phase == "broken"
            assert "times and answered nothing" in client.state.problem
            before = engines.started
            assert before >= ENDS_MAX
            await asyncio.sleep(10 * BACKOFF_S_MAX)
            assert engines.started - before <= 10

        await living(client, scenario())

    run_virtually(play)


def test_one_that_serves_again_ends_the_trouble(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> None:
        engines = engines_of(config)
        engines.keeps_failing = True
        client = EngineClient(config, None, loop.time, engines)

        async def scenario() -> None:
            await asyncio.sleep(60.0)
            engines.keeps_failing = False
            await asyncio.sleep(BACKOFF_S_MAX + 2 * LOAD_S)
            assert client.state.phase == "ready"
            assert client.state.problem == ""

        await living(client, scenario())

    run_virtually(play)


def test_an_engine_of_systemd_that_never_comes_is_said_to_be_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> None:
        client = EngineClient(config, None, loop.time)

        async def scenario() -> None:
            await asyncio.sleep(ABSENT_S_MAX / 2)
            at_first = client.state.phase
            await asyncio.sleep(ABSENT_S_MAX)
            assert (at_first, client.state.phase) == ("starting", "broken")
            assert "no engine listens" in client.state.problem

        await living(client, scenario())

    run_virtually(play)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a process to another user")
def test_a_process_of_another_user_is_not_killed_and_that_is_said(
    bystander: subprocess.Popen[bytes],
) -> None:
    code = f"""
        import os
        from edged.config import Config
        from edged.engine.processes import OwnProcesses
        os.setuid({NOBODY})
        print(OwnProcesses(Config(), None).kill({bystander.pid}))
    """
    said = python(code)
    assert "belongs to another user" in said
    assert bystander.poll() is None


UNKILLABLE = """
    import asyncio, os, sys
    from pathlib import Path
    from edged import config
    from edged.engine.client import EngineClient
    from edged.engine.frames import Hello, Ready, encode
    from edged.engine.protocol import PROTOCOL_VERSION

    settings = config.load(Path(sys.argv[1]))

    async def serve(reader, writer):
        # In its own PID namespace the first process is one that SIGKILL does not end.
        said = [Hello(PROTOCOL_VERSION, 1), Ready("m", "sha256:0", "sim", 99, 9, 0)]
        writer.writelines(map(encode, said))
        await reader.read()

    async def watch():
        now = [0.0]
        client = EngineClient(settings, Path(sys.argv[1]), lambda: now[0])
        life = asyncio.ensure_future(client.run())
        await client.events.get()
        client.expect("a")
        for _ in range(4):
            now[0] += 40.0
            client.end_hung()
        await client.events.get()
        await asyncio.sleep(1.0)
        print(client.state.phase, client.state.problem, client._processes.own_pid, flush=True)
        os._exit(0)

    async def engine():
        async with await asyncio.start_unix_server(serve, settings.engine_socket):
            if os.fork() == 0:
                asyncio.set_event_loop(None)
                asyncio._set_running_loop(None)
                asyncio.run(watch())
            await asyncio.to_thread(os.wait)

    assert os.getpid() == 1
    asyncio.run(engine())
"""


def has_namespaces() -> bool:
    """Return whether this machine lets a test make a PID namespace."""
    return subprocess.run(["unshare", "-Urpf", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="no PID namespaces for this user")
def test_an_engine_that_sigkill_does_not_end_is_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "edged.toml"
    file.write_text(f'[node]\nstate_dir = "{tmp_path}"\n[engine]\nbackend = "sim"\n')
    said = python(UNKILLABLE, str(file), front=("unshare", "-Urpf"))
    assert said.startswith("broken engine 1 hangs, and SIGKILL does not end it")
    assert said.rstrip().endswith("None")


def test_an_engine_that_takes_the_connection_and_says_nothing_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.engine.client.HELLO_S_MAX", 0.2)
    config = config_of(tmp_path)
    code = f"""
        import socket
        listener = socket.socket(socket.AF_UNIX)
        listener.bind({str(config.engine_socket)!r})
        listener.listen()
        print("listens", flush=True)
        input()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as mute:
        assert mute.stdout is not None
        assert mute.stdout.readline() == b"listens\n"

        async def play() -> str:
            client = EngineClient(config, None, processes=Quick(config, None))
            life = asyncio.ensure_future(client.run())
            async with asyncio.timeout(WAIT_S):
                await client.events.get()
            problem = client.state.problem
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            return problem

        assert "says nothing" in asyncio.run(play())
        assert mute.wait(WAIT_S) < 0


class Quick(OwnProcesses):
    """Starts nothing: the engine of the test is there."""

    @property
    def starts(self) -> bool:
        return False


@pytest.mark.model
def test_an_engine_of_a_command_ends_with_it_however_that_ends(tmp_path: Path) -> None:
    code = f"""
        import asyncio
        from tests.virtual_time import config_of
        from pathlib import Path
        from edged.engine.client import EngineClient
        from edged.engine.processes import OwnProcesses
        folder = Path({str(tmp_path)!r})
        (folder / "edged.toml").write_text('[engine]\\nbackend = "sim"\\n')
        config = config_of(folder)
        async def run():
            own = OwnProcesses(config, folder / "edged.toml", is_tied=True)
            client = EngineClient(config, folder / "edged.toml", processes=own)
            life = asyncio.ensure_future(client.run())
            await client.events.get()
            print(client.state.pid, flush=True)
            await life
        asyncio.run(run())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        engine = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert has_ended(engine)


@pytest.mark.model
def test_an_engine_that_came_too_late_ends_with_the_daemon_too(tmp_path: Path) -> None:
    path = write_config(tmp_path, engine={"backend": "sim"})
    settings = load(path)

    async def play() -> int | None:
        own = OwnProcesses(settings, path)
        client = EngineClient(settings, path, processes=own)
        life = asyncio.ensure_future(client.run())
        async with asyncio.timeout(WAIT_S):
            await client.events.get()
        await own.start()  # as a daemon does that looks before the other's engine listens
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        return own.own_pid

    with engine_process(path, tmp_path, options=["--spawned"]) as other:
        Daemon.connect(other).close()
        assert asyncio.run(play()) is None
        assert other.wait()[0] == 0


def has_ended(handle: int) -> bool:
    """Wait for the end of a process."""

    async def wait() -> None:
        over = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, over.set)
        async with asyncio.timeout(WAIT_S):
            await over.wait()
        asyncio.get_running_loop().remove_reader(handle)

    asyncio.run(wait())
    os.close(handle)
    return True


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def python(code: str, *arguments: str, front: tuple[str, ...] = ()) -> str:
    """Return what a program prints."""
    command = [*front, sys.executable, "-c", textwrap.dedent(code), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
