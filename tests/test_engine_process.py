"""Start, end, and what stops an engine from serving: the real process."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.engine.frames import Broken, Limits, Loading
from edged.errors import EXIT_CONFIG, EXIT_ENGINE_UNUSABLE
from tests.engine_fixtures import Daemon, engine_process, work, write_config
from tests.tiny_gguf import write_tiny_gguf

pytestmark = pytest.mark.model

SIM = {"backend": "sim"}
LONG = {"type": "string", "minLength": 800, "maxLength": 850}


def test_sigterm_ends_the_engine_and_takes_its_socket_away(tmp_path: Path) -> None:
    with engine_process(write_config(tmp_path, engine=SIM), tmp_path) as engine:
        daemon = Daemon.connect(engine)
        daemon.ready()
        daemon.send(Limits(1024, 8, 60.0), work("long", schema=LONG))
        daemon.until_true(lambda: bool(daemon.steps))
        assert engine.terminate() == 0
        assert not engine.socket_path.exists()
        daemon.close()


def test_a_second_engine_is_refused_and_names_the_first(tmp_path: Path) -> None:
    config = write_config(tmp_path, engine=SIM)
    with engine_process(config, tmp_path) as first:
        Daemon.connect(first).close()
        with engine_process(config, tmp_path) as second:
            code, errors = second.wait()
        assert code == EXIT_ENGINE_UNUSABLE
        assert f"process {first.process.pid}" in errors
        Daemon.connect(first).close()


def test_an_engine_starts_over_the_remains_of_a_killed_one(tmp_path: Path) -> None:
    config = write_config(tmp_path, engine=SIM)
    with engine_process(config, tmp_path) as first:
        Daemon.connect(first).close()
        first.process.kill()
        first.wait()
    assert (tmp_path / "engine.sock").exists()
    with engine_process(config, tmp_path) as second:
        daemon = Daemon.connect(second)
        daemon.ready()
        daemon.close()


def test_systemd_is_told_when_the_model_is_resident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with engine_process(write_config(tmp_path, engine=SIM), tmp_path):
            message = notified.recv(4096).decode()
            while "READY=1" not in message:
                assert "EXTEND_TIMEOUT_USEC" in message or "STATUS" in message
                message = notified.recv(4096).decode()
    assert "STATUS=sim is resident" in message


def test_a_state_directory_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    state_dir = str(tmp_path / "file" / "state")
    config = write_config(tmp_path, node={"state_dir": state_dir}, engine=SIM)
    with engine_process(config, tmp_path) as engine:
        code, errors = engine.wait()
    assert code == EXIT_CONFIG
    assert f"node.state_dir = {state_dir}" in errors


def test_a_socket_path_too_long_for_the_kernel_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    config = write_config(tmp_path, engine={**SIM, "socket": str(path)})
    with engine_process(config, tmp_path) as engine:
        code, errors = engine.wait()
    assert code == EXIT_CONFIG
    assert "107 bytes" in errors


def cut_off(path: Path) -> None:
    write_tiny_gguf(path)
    os.truncate(path, path.stat().st_size - 5000)


def cut_in_the_header(path: Path) -> None:
    write_tiny_gguf(path)
    os.truncate(path, 700)


def not_a_gguf(path: Path) -> None:
    path.write_text("<html>404 not found</html>")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def old_version(path: Path) -> None:
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0))


def damaged_count(path: Path) -> None:
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60))


def without_tensors(path: Path) -> None:
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))


def recurrent(path: Path) -> None:
    key = b"mamba.ssm.conv_kernel"
    name, value = b"general.architecture", b"mamba"
    path.write_bytes(
        b"GGUF"
        + struct.pack("<IQQ", 3, 0, 2)
        + struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, len(value)) + value
        + struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, 4)
    )  # fmt: skip


@pytest.mark.model
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (None, "there is no such model file"),
        (cut_off, "the file is cut off"),
        (cut_in_the_header, "the file is cut off"),
        (not_a_gguf, "not a GGUF"),
        (empty, "cannot be read"),
        (old_version, "version 1"),
        (damaged_count, "damaged"),
        (without_tensors, "llama.cpp cannot load it"),
        (recurrent, "mamba"),
    ],
)
def test_a_model_that_cannot_be_served_is_told_to_the_daemon_and_ends_with_69(
    tmp_path: Path, spoil: Callable[[Path], None] | None, words: str
) -> None:
    path = tmp_path / "model.gguf"
    if spoil is not None:
        spoil(path)
    config = write_config(tmp_path, model={"path": str(path)})
    with engine_process(config, tmp_path) as engine:
        daemon = Daemon.connect(engine)
        broken = daemon.until(Broken)
        daemon.close()
        code, errors = engine.wait()
    assert code == EXIT_ENGINE_UNUSABLE
    assert words in broken.detail
    assert broken.detail in errors
    assert str(path) in errors


@pytest.mark.model
def test_a_model_over_the_memory_is_refused_with_the_numbers(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "deep.gguf", layers=64)
    config = write_config(
        tmp_path,
        model={"path": str(path), "context_tokens": 131_072, "sequences": 64},
        engine={"kv_tokens": 8_388_608},
    )
    with engine_process(config, tmp_path) as engine:
        daemon = Daemon.connect(engine)
        daemon.until(Broken)
        daemon.close()
        code, errors = engine.wait()
    assert code == EXIT_ENGINE_UNUSABLE
    assert "MiB are free" in errors
    assert "KV cache" in errors


@pytest.mark.model
def test_a_damaged_weight_is_found_by_the_canary(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "nan.gguf")
    with path.open("r+b") as file:
        file.seek(-3000, os.SEEK_END)
        file.write(b"\xff" * 1800)
    with engine_process(write_config(tmp_path, model={"path": str(path)}), tmp_path) as engine:
        code, errors = engine.wait()
    assert code == EXIT_ENGINE_UNUSABLE
    assert "does not compute" in errors


@pytest.mark.model
def test_the_load_is_reported_and_then_the_model_is_named(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    config = write_config(tmp_path, model={"path": str(path), "context_tokens": 4096})
    with engine_process(config, tmp_path) as engine:
        daemon = Daemon.connect(engine)
        ready = daemon.ready()
        daemon.close()
    assert (ready.name, ready.backend, ready.sequences) == ("tiny", "llama", 32)
    assert ready.context_tokens == 2048  # what it was trained for
    assert ready.digest.startswith("sha256:")
    assert len(ready.digest) == 71
    assert isinstance(daemon.frames[1], Loading)


@pytest.mark.model
def test_an_engine_can_be_ended_while_it_loads(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "deep.gguf", layers=64)
    with engine_process(write_config(tmp_path, model={"path": str(path)}), tmp_path) as engine:
        daemon = Daemon.connect(engine)
        daemon.until(Loading)
        assert engine.terminate() == 0
        daemon.close()
