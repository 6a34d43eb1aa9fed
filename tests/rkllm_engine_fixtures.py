"""An engine over the stub of RKLLM's runtime, on a virtual board, started for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine_fixtures import Daemon, EngineProcess, engine_process
from tests.rkllm_fixtures import Calls, Rule, rkllm_config, stub_environment, stub_library

EVENT = {
    "type": "object",
    "properties": {"event": {"enum": ["arrival", "damage"]}, "dock": {"type": "integer"}},
    "required": ["event", "dock"],
}
GOOD = '{"event": "damage", "dock": 6}'


@dataclass
class Board:
    """An engine over the stub, a daemon's end of its socket, and what the stub was called with."""

    engine: EngineProcess
    daemon: Daemon
    log: Calls

    @property
    def calls(self) -> list[str]:
        return self.log.of(self.engine.process.pid)

    @property
    def names(self) -> list[str]:
        return self.log.names(self.engine.process.pid)

    @property
    def prompts(self) -> list[str]:
        """The prompts that were run, without the canary's."""
        runs = [call.split(" ", 2)[2] for call in self.calls if call.startswith("run ")]
        return [prompt for prompt in runs if prompt != "1 2 3 4"]

    def ended(self) -> tuple[int, str]:
        """Return exit code and standard error; wait for them."""
        return self.engine.wait()


Start = Callable[..., AbstractContextManager[Board]]


@pytest.fixture
def start(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Start:
    library = stub_library(tmp_path_factory.getbasetemp())

    @contextmanager
    def started(*rules: Rule, options: tuple[str, ...] = (), **keys: Any) -> Iterator[Board]:
        log = Calls(tmp_path / "calls")
        for name, value in stub_environment(log.path, *options).items():
            monkeypatch.setenv(name, value)
        config = rkllm_config(tmp_path, library, rules, **keys)
        with engine_process(config, tmp_path) as engine:
            daemon = Daemon.connect(engine)
            try:
                daemon.ready()
                yield Board(engine, daemon, log)
            finally:
                daemon.close()

    return started
