"""What RKLLM is refused for, and how: the real engine process over the stub of the runtime."""

from __future__ import annotations

import _ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edged.engine.frames import Broken, Loading
from edged.engine.rkllm.library import Library
from edged.errors import EXIT_ENGINE_UNUSABLE, EngineUnusable
from tests.broker import Mosquitto
from tests.daemon_fixtures import Asker
from tests.daemon_fixtures import Daemon as WholeDaemon
from tests.engine_fixtures import Daemon, engine_process, write_config
from tests.rkllm_fixtures import (
    Calls,
    Rule,
    rkllm_config,
    rkllm_tables,
    say,
    stub_environment,
    stub_library,
    write_model,
)

pytestmark = pytest.mark.model

# In a process of its own: the thread that is inside the library stays there.
LOAD = """
import sys
from pathlib import Path
from edged.engine.rkllm.library import Library
from edged.engine.rkllm.session import NotBack, Session, Setup, leave_without_destructors
library, model, log = map(Path, sys.argv[1:])
try:
    Session(Library(library)).open(Setup(model, 512, (0,), 0), log, 0.2, lambda: True)
except NotBack:
    leave_without_destructors(7)
"""


@pytest.fixture
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stub_library(tmp_path_factory.getbasetemp())


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    for name, value in stub_environment(tmp_path / "calls").items():
        monkeypatch.setenv(name, value)
    return Calls(tmp_path / "calls")


def refusal(config: Path, folder: Path) -> tuple[int, str, int]:
    """Return what the daemon was told, the exit code, and the engine's process id."""
    with engine_process(config, folder) as engine:
        daemon = Daemon.connect(engine)
        told = daemon.until(Broken).detail
        daemon.close()
        code, errors = engine.wait()
        assert told in errors
        return code, told, engine.process.pid


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("version=1.2.3", ["RKLLM 1.2.3", "1.3.0 only", "install"]),
        ("version=1.2.3,init-crashes", ["RKLLM 1.2.3", "1.3.0 only"]),
        ("mute", ["does not say which version", "install"]),
        ("driver=0.9.6", ["rknpu 0.9.6", "0.9.7", "newer kernel"]),
        ("platform=RK3576", ["converted for the RK3588", "RK3576", "convert it again"]),
        ("init-fails", ["-1", "failed to malloc npu memory", "kernel of the board's vendor"]),
        ("init-null", ["success and gave no handle"]),
    ],
)
def test_what_the_runtime_says_of_itself_is_refused_in_one_sentence(
    tmp_path: Path,
    library: Path,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    words: list[str],
) -> None:
    monkeypatch.setenv("RKLLM_STUB", option)
    code, told, pid = refusal(rkllm_config(tmp_path, library), tmp_path)
    assert code == EXIT_ENGINE_UNUSABLE
    assert [word for word in words if word not in told] == []
    assert "\n" not in told
    assert calls.names(pid).count("init") <= 1


@pytest.mark.parametrize("option", ["version=1.2.3", "mute", "driver=0.9.6"])
def test_a_library_that_is_not_known_is_never_given_a_model(
    tmp_path: Path, library: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("RKLLM_STUB", option)
    _, _, pid = refusal(rkllm_config(tmp_path, library), tmp_path)
    assert calls.names(pid) == []


def missing(folder: Path) -> Path:
    return folder / "nowhere.so"


def text_file(folder: Path) -> Path:
    path = folder / "text.so"
    path.write_text("not found\n")
    return path


def foreign(folder: Path) -> Path:
    return Path(_ctypes.__file__)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "there is no such library"),
        (text_file, "cannot be loaded"),
        (foreign, "this is no RKLLM runtime"),
    ],
)
def test_a_missing_or_foreign_library_is_named(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    code, told, _ = refusal(rkllm_config(tmp_path, make(tmp_path)), tmp_path)
    assert code == EXIT_ENGINE_UNUSABLE
    assert words in told
    assert "rkllm.library" in told


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"path": "dock.gguf"}, "runs .rkllm files"),
        ({"path": "gone.rkllm"}, "no such model file"),
        ({"path": "short.rkllm"}, "at most 512 tokens"),
        ({"path": "other.rkllm"}, "converted for the RK3576"),
        ({"path": "huge.rkllm"}, "MiB of memory are free"),
        ({"path": "junk.rkllm"}, "failed to open the model file"),
        ({"path": "short.rkllm", "context_tokens": 32_768}, "holds at most 16384"),
    ],
)
def test_a_model_that_cannot_be_served_is_named(
    tmp_path: Path, library: Path, calls: Calls, keys: dict[str, Any], words: str
) -> None:
    write_model(tmp_path / "short.rkllm", context_limit=512)
    write_model(tmp_path / "other.rkllm", target="rk3576")
    os.truncate(write_model(tmp_path / "huge.rkllm"), 2**42)  # a file of holes
    (tmp_path / "junk.rkllm").write_bytes(os.urandom(999))
    tables = rkllm_tables(tmp_path, library)
    tables["model"] |= keys | {"path": str(tmp_path / keys["path"])}
    code, told, pid = refusal(write_config(tmp_path, **tables), tmp_path)
    assert code == EXIT_ENGINE_UNUSABLE
    assert words in told
    assert calls.names(pid).count("init") <= 1


def test_a_format_must_be_given(tmp_path: Path, library: Path) -> None:
    tables = rkllm_tables(tmp_path, library)
    del tables["model"]["format"]
    _, told, _ = refusal(write_config(tmp_path, **tables), tmp_path)
    assert told.startswith("model.format is not set")


def test_a_format_must_say_what_ends_an_answer(tmp_path: Path, library: Path) -> None:
    config = rkllm_config(tmp_path, library)
    (tmp_path / "format.toml").write_text('roles = { user = "{content}" }\n')
    _, told, _ = refusal(config, tmp_path)
    assert "stop names no word that ends an answer" in told


def test_an_answer_of_nothing_to_the_canary_is_refused_and_the_memory_given_back(
    tmp_path: Path, library: Path, calls: Calls
) -> None:
    config = rkllm_config(tmp_path, library, [Rule("1 2 3 4", "empty")])
    code, told, pid = refusal(config, tmp_path)
    assert code == EXIT_ENGINE_UNUSABLE
    assert "answered with nothing" in told
    assert calls.names(pid)[-1] == "destroy"


def test_one_process_has_the_npu_whatever_its_state_directory(
    tmp_path: Path, library: Path, calls: Calls
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    lock = str(tmp_path / "npu.lock")
    configs = [rkllm_config(folder, library, lock=lock) for folder in folders]
    with engine_process(configs[0], folders[0]) as first:
        daemon = Daemon.connect(first)
        daemon.ready()
        with engine_process(configs[1], folders[1]) as second:
            code, errors = second.wait()
            assert calls.names(second.process.pid) == []
        daemon.close()
    assert code == EXIT_ENGINE_UNUSABLE
    assert f"process {first.process.pid} holds the lock of the NPU" in errors


def test_systemd_is_asked_for_more_time_while_the_runtime_loads(
    tmp_path: Path, library: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RKLLM_STUB", "init-slow")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with engine_process(rkllm_config(tmp_path, library), tmp_path):
            messages = [notified.recv(4096).decode()]
            while "READY=1" not in messages[-1]:
                messages.append(notified.recv(4096).decode())
    assert messages[0].startswith("EXTEND_TIMEOUT_USEC=")


def test_an_engine_that_is_to_end_does_not_wait_for_a_load_that_hangs(
    tmp_path: Path, library: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RKLLM_STUB", "init-hangs")
    with engine_process(rkllm_config(tmp_path, library), tmp_path) as engine:
        daemon = Daemon.connect(engine)
        daemon.until(Loading)
        while "init" not in calls.names(engine.process.pid):
            os.sched_yield()
        assert engine.terminate() == 0
        daemon.close()


def test_a_load_has_a_limit_behind_which_the_process_can_still_end(
    tmp_path: Path, library: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RKLLM_STUB", "init-hangs")
    files = [library, write_model(tmp_path / "model.rkllm"), tmp_path / "log"]
    command = [sys.executable, "-c", LOAD, *map(str, files)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == 7


def test_a_library_in_the_loader_s_own_places_needs_no_path() -> None:
    with pytest.raises(EngineUnusable, match=r"librkllmrt\.so"):
        Library(None)


@pytest.mark.broker
@pytest.mark.slow
def test_the_daemon_stays_up_and_a_prompt_is_run_again_then_given_up(
    tmp_path: Path, library: Path
) -> None:
    rules = [Rule("hang", "hang"), say("tell", "all is well")]
    tables = rkllm_tables(tmp_path, library, rules, token_s_max=4, abort_s_max=1)
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(tmp_path / "broker"))
        daemon = WholeDaemon(tmp_path, broker, backend="rkllm", sections=tables)
        stack.enter_context(daemon)
        device = stack.enter_context(Asker(broker))
        daemon.wait_for_log("is resident")
        device.listen()
        device.ask("hang", "h")
        outcome = device.outcome("h")
        assert (outcome["event"], outcome["reason"]) == ("error", "engine_failed")
        device.ask("tell", "t")
        answer = device.outcome("t")
    assert (answer["event"], answer["text"]) == ("done", "all is well")
    assert answer["timing"]["prefill_s"] > 0
    assert answer["timing"]["decode_s"] > 0


@pytest.mark.broker
def test_a_refused_load_is_told_to_devices_by_a_daemon_that_stays_up(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RKLLM_STUB", "driver=0.9.2")
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(tmp_path / "broker"))
        sections = rkllm_tables(tmp_path, library)
        daemon = WholeDaemon(tmp_path, broker, backend="rkllm", sections=sections)
        stack.enter_context(daemon)
        device = stack.enter_context(Asker(broker))
        daemon.wait_for_log("rknpu 0.9.2")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask("hello", "p")
        assert device.next()["reason"] == "engine_down"
        assert daemon.process is not None
        assert daemon.process.poll() is None
