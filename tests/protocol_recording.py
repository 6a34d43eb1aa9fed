"""Records what a daemon and an engine say to each other: the golden file of a protocol.

    python -m tests.protocol_recording TREE > tests/protocols/VERSION.jsonl

In:  a checkout whose engine is to speak.     Out: a line for each frame: who said it, the frame as
JSON. The daemon's words stand here; the engine is the real process of that checkout, once with the
simulated model and once with a model that is not there. Whoever raises `PROTOCOL_VERSION` records
the new version; the file of the one before stays, and `test_engine_protocol` holds today's edged to
both.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edged.engine.frames import LENGTH
from tools.board_processes import write_config

Frame = dict[str, Any]
DEADLINE_S = 60.0
FOLDER = Path(__file__).parent / "protocols"
SCHEMA = json.dumps({"type": "object", "properties": {"dock": {"type": "integer", "minimum": 1}}})
OPEN = {"kind": "limits", "context_tokens": 1024, "sequences": 8, "lease_s": 60.0}
SHUT, PACED = OPEN | {"sequences": 0}, OPEN | {"is_paced": True}
GO = {"kind": "go", "tokens": 1024, "sequences": 8, "steps": 1000}


def prompt(payload: str, **pieces: str) -> Frame:
    """Return a prompt as it is on the wire."""
    return {"root": "", "payload": payload, "suffix": "", "messages": []} | pieces


def work(id: str, payload: str = "pallet 7", **keys: Any) -> Frame:
    """Return work as it is on the wire, greedy."""
    return {"kind": "work", "id": id, "prompt": prompt(payload), "sampling": {}} | keys


def said(frame: Frame) -> set[str]:
    """Return what of a frame another engine says too, in its own words, steps and times."""
    kind = frame["kind"]
    if kind == "step":
        return {f"{one['id']}: {one['finish']}, {one['reason']}" for one in frame["outcomes"]}
    if kind == "measured":
        return {f"{frame['id']}: measured, {frame['reason']}"}
    return {kind} if kind in ("hello", "ready", "held", "wish", "broken") else set()


def has_ended(id: str) -> Callable[[Frame], bool]:
    """Return what knows the step with the outcome of an id."""
    return lambda frame: any(one["id"] == id for one in frame.get("outcomes", ()))


def is_a(kind: str) -> Callable[[Frame], bool]:
    """Return what knows a kind of frame."""
    return lambda frame: bool(frame["kind"] == kind)


class Wire:
    """Frames on a socket, as JSON objects.

    Attributes:
        connection: to the engine's socket.
    """

    def __init__(self, path: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.settimeout(DEADLINE_S)
        until_s = time.monotonic() + DEADLINE_S
        while self.connection.connect_ex(str(path)):
            assert time.monotonic() < until_s, f"nobody listens on {path}"
            time.sleep(0.001)
        self._stream = self.connection.makefile("rb")

    def say(self, frame: Frame) -> None:
        """Send a frame."""
        body = json.dumps(frame).encode()
        self.connection.sendall(LENGTH.pack(len(body)) + body)

    def hear(self) -> Frame:
        """Return the next frame."""
        (length,) = LENGTH.unpack(self._stream.read(LENGTH.size))
        frame: Frame = json.loads(self._stream.read(length))
        return frame

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self.connection.close()


class Recorder:
    """A daemon that writes down what is said."""

    def __init__(self, path: Path) -> None:
        self._wire = Wire(path)
        self.lines: list[str] = []

    def say(self, *frames: Frame) -> None:
        """Send frames."""
        for frame in frames:
            self._wire.say(frame)
            self._note("daemon", frame)

    def until(self, is_it: Callable[[Frame], bool]) -> Frame:
        """Hear up to a frame, and return it."""
        while True:
            frame = self._wire.hear()
            self._note("engine", frame)
            if is_it(frame):
                return frame

    def _note(self, who: str, frame: Frame) -> None:
        self.lines.append(json.dumps({"from": who, "frame": frame}))


def converse(daemon: Recorder) -> None:
    """Have every kind of frame said that a served daemon says and hears."""
    version = daemon.until(is_a("hello"))["version"]
    daemon.say({"kind": "hello", "version": version, "pid": os.getpid(), "spawned": False})
    daemon.until(is_a("ready"))
    for id, schema in (("m1", None), ("m2", SCHEMA), ("m3", '{"type": "nothing"}')):
        daemon.say({"kind": "measure", "id": id, "prompt": prompt("pallet 7"), "schema": schema})
        daemon.until(is_a("measured"))
    daemon.say(SHUT, work("w1", schema=SCHEMA, max_tokens=40, priority=9))
    daemon.until(is_a("held"))
    daemon.say(OPEN)
    daemon.until(has_ended("w1"))
    daemon.say(work("w2", stream=True, max_tokens=3), work("w3", schema='{"type": "nothing"}'))
    daemon.until(has_ended("w2"))
    daemon.say(PACED, work("w4", "pallet 8", max_tokens=2))
    daemon.until(is_a("wish"))
    daemon.say(GO)
    daemon.until(has_ended("w4"))
    daemon.say(OPEN, work("w5", schema='{"type": "string", "minLength": 200}'))
    daemon.until(lambda frame: "w5" in frame.get("shares", ()))
    daemon.say({"kind": "cancel", "id": "w5"})
    daemon.until(has_ended("w5"))


def recorded(tree: Path, converse: Callable[[Recorder], object], **tables: Frame) -> list[str]:
    """Return the lines of one engine's life."""
    with tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), **tables)
        command = [sys.executable, "-m", "edged", "engine", "--config", str(config)]
        with subprocess.Popen(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}) as one:
            try:
                daemon = Recorder(Path(folder) / "engine.sock")
                converse(daemon)
            finally:
                one.terminate()
    return daemon.lines


def main() -> None:
    """Print the recording of a checkout."""
    tree = Path(sys.argv[1]).resolve()
    lines = recorded(tree, converse, engine={"backend": "sim"})
    missing = {"path": "missing.gguf"}
    lines += recorded(tree, lambda daemon: daemon.until(is_a("broken")), model=missing)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
