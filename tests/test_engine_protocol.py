"""Daemon and engine one release apart work together; further apart they say what is to be done.

The previous protocol is that of `tests/protocols`: what a real engine of it said and was told,
frame by frame. Engines of other versions are real processes too: `tests.other_protocol`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import config
from edged.admin.client import asked
from edged.admin.screen import screen
from edged.admin.wire import StatusAsk
from edged.doctor import serving
from edged.engine.client import EngineClient
from edged.engine.frames import (
    LENGTH,
    Frame,
    Held,
    Hello,
    Limits,
    Prompt,
    Ready,
    Step,
    Work,
    decode,
    encode,
)
from edged.engine.protocol import PROTOCOL_VERSION, Foreign, restart_needed, speaks
from edged.engine.stream import read_frame
from edged.errors import EngineLost
from tests.broker import Mosquitto
from tests.daemon_fixtures import BOARD, Asker, Daemon, wait_until
from tests.engine_fixtures import Daemon as EnginesDaemon
from tests.engine_fixtures import EngineProcess, engine_process, write_config
from tests.protocol_recording import FOLDER, Wire, said

WAIT_S = 60.0
LAST, THIS = PROTOCOL_VERSION - 1, PROTOCOL_VERSION
NEIGHBOURS = [THIS - 1, THIS + 1]
TOO_FAR = [THIS - 2, THIS + 2]
Line = tuple[str, dict[str, Any]]


def lines(version: int) -> list[Line]:
    """Return who said what, of a protocol's golden file."""
    text = (FOLDER / f"{version}.jsonl").read_text()
    return [(line["from"], line["frame"]) for line in map(json.loads, text.splitlines())]


def lives(version: int) -> list[list[Line]]:
    """Return the conversations of a golden file: each begins with the engine's hello."""
    found: list[list[Line]] = []
    for who, frame in lines(version):
        if (who, frame["kind"]) == ("engine", "hello"):
            found.append([])
        found[-1].append((who, frame))
    return found


def read(frame: dict[str, Any]) -> Frame | Foreign:
    """Return a recorded frame as this version reads it."""
    return decode(json.dumps(frame).encode())


KINDS = {get_args(get_type_hints(one)["kind"])[0] for one in get_args(Frame)}
both = pytest.mark.parametrize("version", [LAST, THIS])
frames = st.sampled_from([frame for version in (LAST, THIS) for _, frame in lines(version)])


@pytest.mark.parametrize(
    ("theirs", "ours", "do"),
    [(3, 3, True), (2, 3, True), (4, 3, True), (1, 3, False), (5, 3, False), (0, 1, True)],
)
def test_neighbours_speak_with_each_other(theirs: int, ours: int, do: bool) -> None:
    assert speaks(theirs, ours) is do


@given(st.integers(), st.integers())
def test_both_sides_decide_alike(theirs: int, ours: int) -> None:
    assert speaks(theirs, ours) == speaks(ours, theirs)


@pytest.mark.parametrize(
    ("theirs", "has_units", "what_to_do"),
    [
        (1, True, "sudo systemctl restart edged-engine.service"),
        (5, True, "sudo systemctl restart edged.service edged-engine.service"),
        (1, False, "end process 17, then start `edged run` again"),
    ],
)
def test_an_engine_that_is_not_used_is_named_with_what_to_do(
    theirs: int, has_units: bool, what_to_do: str
) -> None:
    told = restart_needed(theirs, 3, 17, has_units=has_units)
    assert told.startswith(f"engine 17 is not used: it speaks protocol {theirs}, not 3")
    assert told.rpartition("; ")[2] == what_to_do


@both
def test_every_recorded_frame_is_read(version: int) -> None:
    assert [frame for _, frame in lines(version) if isinstance(read(frame), Foreign)] == []


def test_the_recording_of_this_version_has_every_kind_of_frame() -> None:
    assert {frame["kind"] for _, frame in lines(THIS)} == KINDS


@given(frames, st.data())
def test_a_field_that_is_not_known_changes_nothing(
    frame: dict[str, Any], data: st.DataObject
) -> None:
    whole = json.loads(json.dumps(frame))
    place = data.draw(st.sampled_from(objects(whole)))
    place["x_" + data.draw(st.text(max_size=5))] = data.draw(st.none() | st.lists(st.integers()))
    assert read(whole) == read(frame)


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the JSON objects in a frame that have fields; `shares` has ids."""
    if isinstance(value, list):
        return [found for one in value for found in objects(one)]
    if not isinstance(value, dict):
        return []
    inner = [one for name, one in value.items() if name != "shares"]
    return [value, *(found for one in inner for found in objects(one))]


@given(st.text(max_size=20).filter(lambda kind: kind not in KINDS))
def test_a_frame_of_a_kind_that_is_not_known_is_left(kind: str) -> None:
    assert read({"kind": kind, "id": "1", "more": [1]}) == Foreign(kind)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"id":"1"}', b'{"kind":"cancel"}', b"\xff"])
def test_what_is_no_frame_of_any_version_ends_the_connection(body: bytes) -> None:
    with pytest.raises(EngineLost, match=f"not a frame of protocol {THIS}"):
        decode(body)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("engine")
    with engine_process(write_config(folder, engine={"backend": "sim"}), folder) as started:
        yield started


@pytest.mark.model
@both
def test_a_daemon_of_the_recording_hears_what_it_heard_then(
    engine: EngineProcess, version: int
) -> None:
    daemon = Wire(engine.socket_path)
    heard: set[str] = set()
    expected: set[str] = set()
    for who, frame in lives(version)[0]:
        if who == "engine":
            expected |= said(frame)
            continue
        while not expected <= heard:
            heard |= said(daemon.hear())
        daemon.say(frame)
    while not expected <= heard:
        heard |= said(daemon.hear())
    daemon.close()
    assert heard - expected == set()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for the one of a recording."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


async def replayed(life: list[Line], folder: Path, pid: int) -> tuple[EngineClient, list[object]]:
    """Return a daemon's client after an engine of the recording, and what it read of the daemon."""
    path = write_config(folder, engine={"backend": "sim"})
    client = EngineClient(config.load(path), path)
    came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    listening = await asyncio.start_unix_server(
        lambda reader, writer: came.put_nowait((reader, writer)), folder / "engine.sock"
    )
    running = asyncio.ensure_future(client.run())
    reader, writer = await came.get()
    heard: list[object] = []
    for who, frame in life:
        whole = frame | {"pid": pid} if frame["kind"] == "hello" else frame
        if who == "engine":
            body = json.dumps(whole).encode()
            writer.write(LENGTH.pack(len(body)) + body)
        else:
            if frame["kind"] != "hello":  # the client says that by itself
                client.send(read(frame))  # type: ignore[arg-type] # the daemon's frames alone
            heard.append(await read_frame(reader))
    writer.close()
    await until_lost(client)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    listening.close()
    return client, heard


async def until_lost(client: EngineClient) -> None:
    """Wait until the client has read all that there is."""
    async with asyncio.timeout(WAIT_S):
        while client.life == 0:
            client.changed.clear()
            await client.changed.wait()


@both
def test_a_daemon_reads_an_engine_of_the_recording_and_is_read_by_it(
    tmp_path: Path, bystander: subprocess.Popen[bytes], version: int
) -> None:
    life = lives(version)[0]
    client, heard = asyncio.run(replayed(life, tmp_path, bystander.pid))
    told = [client.events.get_nowait() for _ in range(client.events.qsize())]
    spoken = [read(frame) for who, frame in life if who == "engine"]
    assert told[:-1] == [one for one in spoken if isinstance(one, Ready | Step | Held)]
    assert [one for one in heard if not isinstance(one, Hello)] == [
        read(frame) for who, frame in life if who == "daemon" and frame["kind"] != "hello"
    ]


@both
def test_a_daemon_answers_in_the_version_of_the_recording(
    tmp_path: Path, bystander: subprocess.Popen[bytes], version: int
) -> None:
    _, heard = asyncio.run(replayed(lives(version)[0], tmp_path, bystander.pid))
    assert [one.version for one in heard if isinstance(one, Hello)] == [version]


@both
def test_a_daemon_hears_why_an_engine_of_the_recording_cannot_serve(
    tmp_path: Path, bystander: subprocess.Popen[bytes], version: int
) -> None:
    client, _ = asyncio.run(replayed(lives(version)[1], tmp_path, bystander.pid))
    assert (client.state.phase, "missing.gguf" in client.state.problem) == ("broken", True)


@pytest.mark.model
def test_an_engine_leaves_a_frame_that_it_does_not_know_and_serves_on(
    engine: EngineProcess,
) -> None:
    daemon = EnginesDaemon.connect(engine)
    daemon.ready()
    body = b'{"kind":"weather","sky":"blue"}'
    daemon.connection.sendall(LENGTH.pack(len(body)) + body)
    daemon.send(Limits(1024, 8, 60.0))
    daemon.connection.sendall(encode(Work("a", Prompt(payload="hello"), max_tokens=3)))
    assert daemon.outcome("a").finish in ("stop", "length")
    daemon.close()


@pytest.mark.model
@pytest.mark.parametrize("version", TOO_FAR)
def test_an_engine_hangs_up_on_a_daemon_that_is_too_far(
    engine: EngineProcess, version: int
) -> None:
    daemon = EnginesDaemon.connect(engine)
    daemon.send(Hello(version, 1))
    with pytest.raises(AssertionError, match="closed the socket"):
        daemon.until_true(lambda: False)
    daemon.close()
    assert engine.process.poll() is None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@contextmanager
def board(
    folder: Path, broker: Mosquitto, version: int
) -> Iterator[tuple[Daemon, EngineProcess, Asker]]:
    """Run a daemon over an engine of another version, with a device."""
    daemon = Daemon(folder / "board", broker)
    program = ("tests.other_protocol", str(version))
    with (
        engine_process(daemon.config, daemon.state_dir, program=program) as engine,
        Asker(broker, f"p{version}") as device,
    ):
        wait_until(engine.socket_path.exists, "the engine's socket")
        device.listen()
        with daemon:
            daemon.wait_for_log("connected to the broker")
            yield daemon, engine, device


def engine_of(daemon: Daemon) -> dict[str, Any]:
    """Return what the daemon's state says of the engine."""
    state = asked(config.load(daemon.config), StatusAsk()).state
    assert state is not None
    found: dict[str, Any] = state["engine"]
    return found


@pytest.mark.model
@pytest.mark.broker
@pytest.mark.parametrize("version", NEIGHBOURS)
def test_an_engine_one_release_away_answers_and_keeps_its_model_over_a_daemon_s_restart(
    broker: Mosquitto, tmp_path: Path, version: int
) -> None:
    with board(tmp_path, broker, version) as (daemon, engine, device):
        device.ask({"prompt": "hello"}, "p-1")
        first = device.outcome("p-1")["event"]
        daemon.stop()
        daemon.start()
        device.ask({"prompt": "hello"}, "p-2")
        assert (first, device.outcome("p-2")["event"]) == ("done", "done")
        assert (daemon.engine_pid, engine.process.poll()) == (engine.process.pid, None)


@pytest.mark.model
@pytest.mark.broker
@pytest.mark.parametrize("version", TOO_FAR)
def test_an_engine_that_is_too_far_is_named_and_prompts_wait_for_its_restart(
    broker: Mosquitto, tmp_path: Path, version: int
) -> None:
    with board(tmp_path, broker, version) as (daemon, engine, device):
        device.subscribe(f"{BOARD}/state")
        state = device.next(
            lambda heard: heard.get("engine", {}).get("phase") == "engine_restart_needed"
        )
        assert f"engine {engine.process.pid} is not used" in state["engine"]["problem"]
        device.ask({"prompt": "hello", "receipt": True}, "p-1")
        assert device.next(lambda heard: heard.get("id") == "p-1")["event"] == "accepted"
        engine.terminate()
        assert device.next(lambda heard: heard.get("id") == "p-1")["event"] == "done"
        assert (engine_of(daemon)["phase"], engine_of(daemon)["problem"]) == ("ready", None)


@pytest.mark.model
@pytest.mark.broker
def test_an_engine_that_is_too_far_is_shown_by_status_and_doctor(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with board(tmp_path, broker, THIS + 2) as (daemon, _, _):
        daemon.wait_for_log("is not used")
        settings = config.load(daemon.config)
        shown = screen(asked(settings, StatusAsk()))
        (found,) = serving.judge(serving.look(settings, 1))
    assert "engine_restart_needed: engine" in shown
    assert (found.level, "then start `edged run` again" in str(found.mend)) == ("error", True)


def test_the_doctor_says_nothing_of_an_engine_that_is_spoken_with() -> None:
    assert serving.judge({"phase": "ready", "problem": None}) == []
