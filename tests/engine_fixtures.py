"""A real engine process and a daemon's end of its socket, for tests."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edged.engine.frames import (
    LENGTH,
    Delta,
    Frame,
    FromEngine,
    Hello,
    Limits,
    Measure,
    Measured,
    Outcome,
    Prompt,
    Ready,
    Sampling,
    Step,
    Wire,
    Work,
    decode,
    encode,
)
from edged.engine.protocol import PROTOCOL_VERSION, Foreign
from tools.board_processes import write_config as write_config

ASK_AGAIN_S = 5.0
DEADLINE_S = 60.0
# Seldom enough to leave the core to an engine that starts.
LOOK_S = 0.005
F = TypeVar("F", bound=FromEngine)


def receive_frame(connection: socket.socket) -> Frame | Foreign | None:
    """Return the next frame of a blocking socket, or None when the other side closed it."""
    head = _received(connection, LENGTH.size)
    body = head and _received(connection, LENGTH.unpack(head)[0])
    return decode(body) if body else None


def _received(connection: socket.socket, length: int) -> bytes:
    """Return so many bytes, however they come; none where the other side closed before."""
    parts = bytearray()
    with suppress(OSError):
        while len(parts) < length and (part := connection.recv(length - len(parts))):
            parts += part
    return bytes(parts) if len(parts) == length else b""


@dataclass
class EngineProcess:
    """A started `edged engine`.

    Attributes:
        spoken: the protocol's version that the daemons of the test say.
    """

    process: subprocess.Popen[str]
    socket_path: Path
    spoken: int = PROTOCOL_VERSION

    def wait(self) -> tuple[int, str]:
        """Return exit code and standard error, once it has ended."""
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, errors

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()[0]


@contextmanager
def engine_process(
    config: Path,
    folder: Path,
    *search: Path,
    program: Sequence[str] = ("edged",),
    options: Sequence[str] = (),
) -> Iterator[EngineProcess]:
    """Run an engine until the block ends.

    Args:
        config: its file.
        folder: where its socket is.
        search: where modules are that it may import.
        program: the module that is run, and what stands before `engine`.
        options: further words of its command line.
    """
    places = [Path(__file__).parent.parent, *search]
    process = subprocess.Popen(
        [sys.executable, "-m", *program, "engine", "--config", str(config), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
    )
    try:
        yield EngineProcess(process, folder / "engine.sock")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@dataclass
class Daemon:
    """The daemon's end of the engine's socket."""

    connection: socket.socket
    steps: list[Step] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    deltas: list[Delta] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @classmethod
    def connect(cls, engine: EngineProcess) -> Daemon:
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(DEADLINE_S)
            try:
                connection.connect(str(engine.socket_path))
                break
            except OSError:
                connection.close()
                if time.monotonic() > deadline_s or engine.process.poll() is not None:
                    raise
                with suppress(subprocess.TimeoutExpired):
                    engine.process.wait(LOOK_S)
        daemon = cls(connection)
        daemon.send(Hello(engine.spoken, os.getpid()))
        return daemon

    def close(self) -> None:
        self.connection.close()

    def send(self, *frames: Frame) -> None:
        self.connection.sendall(b"".join(map(encode, frames)))

    def receive(self) -> Frame:
        while isinstance(frame := receive_frame(self.connection), Foreign):
            pass
        assert frame is not None, "the engine closed the socket"
        self.frames.append(frame)
        if isinstance(frame, Step):
            self.steps.append(frame)
            self.deltas += frame.deltas
            self.outcomes.update({outcome.id: outcome for outcome in frame.outcomes})
        return frame

    def until(self, kind: type[F]) -> F:
        """Return the next frame of a kind."""
        while not isinstance(frame := self.receive(), kind):
            pass
        return frame

    def until_true(self, condition: Callable[[], bool]) -> None:
        """Receive until a condition on what was received holds."""
        while not condition():
            self.receive()

    def until_silent(self, for_s: float) -> None:
        """Receive until nothing has come for so long."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            while selector.select(for_s):
                self.receive()

    def ready(self) -> Ready:
        return self.until(Ready)

    def outcome(self, id: str) -> Outcome:
        self.until_true(lambda: id in self.outcomes)
        return self.outcomes[id]

    def ask(self, *works: Work, limits: Limits | None = None) -> list[Outcome]:
        """Send work under a long lease and return its outcomes, in the order of the work."""
        self.send(limits or Limits(100_000, 64, 60.0), *works)
        return [self.outcome(work.id) for work in works]

    def measure(
        self, prompt: Prompt, schema: dict[str, Any] | None = None, wire: Wire = "json"
    ) -> Measured:
        """Return what a prompt takes; on a busy machine an engine may leave a measure."""
        text = None if schema is None else json.dumps(schema)
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            while True:
                self.send(Measure("m", prompt, text, wire))
                while selector.select(ASK_AGAIN_S):
                    if isinstance(frame := self.receive(), Measured):
                        return frame


def work(
    id: str,
    payload: str = "pallet 7 at door 3",
    *,
    root: str = "",
    suffix: str = "",
    schema: dict[str, Any] | None = None,
    max_tokens: int | None = None,
    stream: bool = False,
    priority: int = 5,
    sampling: Sampling | None = None,
    wire: Wire = "json",
) -> Work:
    """Return a request with the defaults of a test."""
    return Work(
        id=id,
        prompt=Prompt(root, payload, suffix),
        schema=None if schema is None else json.dumps(schema),
        sampling=sampling or Sampling(),
        max_tokens=max_tokens,
        stream=stream,
        priority=priority,
        wire=wire,
    )
