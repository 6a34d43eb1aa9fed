"""What is prepared takes its time; a lease waits for none of it, and nothing is lost or doubled."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edged.engine.arrivals import Arrivals
from edged.engine.frames import (
    Cancel,
    Frame,
    Limits,
    Measure,
    Measured,
    Outcome,
    Prompt,
    Work,
    encode,
)
from edged.engine.inbox import Inbox, Item
from edged.engine.intake import Intake
from edged.engine.link import Link
from edged.engine.outlet import Outlet
from edged.engine.preparation import SHORT_CHARACTERS, WAITING_MAX, Preparation
from edged.engine.protocol import TRIM_S_MAX, Foreign
from edged.engine.sequence import Sequence
from edged.errors import Refusal
from edged.unix_socket import listening
from tests.engine_fixtures import receive_frame, work

WAIT_S = 30.0


@dataclass
class Slow:
    """A preparer that refuses each prompt, once it may."""

    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may_end: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may_be_measured: threading.Semaphore = field(default_factory=threading.Semaphore)

    def measured(self, frame: Measure) -> Measured:
        if frame.id == "other":
            with self.may_be_measured:
                return Measured(frame.id, 7)
        return Measured(frame.id, 7)

    def sequence(self, frame: Work, arrived_s: float) -> Sequence:
        self.begun.release()
        assert self.may_end.acquire(timeout=WAIT_S)
        raise Refusal("bad_schema", f"{frame.id} is none")


@dataclass
class Scene:
    slow: Slow
    inbox: Inbox
    preparation: Preparation
    outlet: Outlet
    daemon: socket.socket

    def put(self, *frames: Work | Measure | Cancel, ago_s: float = 0.0) -> None:
        self.preparation.put(frames, self.outlet, time.monotonic() - ago_s)

    def begin(self, id: str) -> None:
        """Have work prepared, and return as soon as that has begun."""
        self.put(work(id))
        assert self.slow.begun.acquire(timeout=WAIT_S)

    def told(self, count: int) -> list[str]:
        """Return the next items of the inbox, by name."""
        return told(self.inbox, count)

    def heard(self) -> Frame | Foreign | None:
        return receive_frame(self.daemon)

    def heard_at_once(self) -> list[Frame | Foreign]:
        """Return what the next write brings."""
        return Arrivals(self.daemon).read() or []


def told(inbox: Inbox, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        letters = inbox.take(block=True, wait_s=WAIT_S)
        assert letters, f"nothing came behind {found}"
        found += [name(letter.item) for letter in letters]
    return found


def name(item: Item) -> str:
    match item:
        case Outcome(id) | Cancel(id):
            return f"{type(item).__name__} {id}"
        case _:
            return type(item).__name__


@contextmanager
def preparing() -> Iterator[Scene]:
    """Let a preparation run over a slow preparer."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(WAIT_S)
    inbox, slow = Inbox(), Slow()
    preparation = Preparation(inbox)
    preparation.prepare_with(slow)
    thread = threading.Thread(target=preparation.run)
    thread.start()
    with ours, theirs:
        yield Scene(slow, inbox, preparation, Outlet(ours), theirs)
        preparation.close()
        slow.may_end.release()
        thread.join(WAIT_S)
        assert not thread.is_alive()


@pytest.fixture
def scene() -> Iterator[Scene]:
    with preparing() as scene:
        yield scene


def test_the_lease_is_renewed_while_a_prompt_is_being_prepared(
    tmp_path: Path, scene: Scene
) -> None:
    path = tmp_path / "engine.sock"
    with listening(path, 0o600, "engine.socket") as listener:
        intake = Intake(listener, Link(), scene.inbox, scene.preparation)
        thread = threading.Thread(target=intake.run)
        thread.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
            daemon.connect(str(path))
            daemon.sendall(encode(work("costly")) + encode(Limits(1024, 8, 2.0)))
            assert scene.slow.begun.acquire(timeout=WAIT_S)
            assert scene.told(2) == ["Attached", "Limits"]
        intake.close()
        thread.join(WAIT_S)


def test_a_cancel_comes_behind_the_work_that_is_being_prepared(scene: Scene) -> None:
    scene.begin("a")
    scene.put(work("b"), Cancel("a"), Cancel("b"))
    scene.slow.may_end.release(2)
    assert scene.told(4) == ["Outcome a", "Outcome b", "Cancel a", "Cancel b"]


def test_a_cancel_of_what_runs_waits_for_nothing(scene: Scene) -> None:
    scene.begin("a")
    scene.put(Cancel("runs"))
    assert scene.told(1) == ["Cancel runs"]


def test_a_measure_that_nobody_waits_for_any_more_is_left(scene: Scene) -> None:
    scene.put(Measure("late", Prompt(payload="x")), ago_s=2 * TRIM_S_MAX)
    scene.put(Measure("now", Prompt(payload="x")), ago_s=-WAIT_S)
    assert scene.heard() == Measured("now", 7)


def test_work_of_a_daemon_that_has_gone_never_comes(scene: Scene) -> None:
    scene.begin("old")
    scene.put(work("older"))
    scene.preparation.forget()
    scene.put(work("new"))
    scene.slow.may_end.release(2)
    assert scene.told(1) == ["Outcome new"]


def test_measures_behind_more_than_a_daemon_waits_for_are_left(scene: Scene) -> None:
    scene.begin("a")
    scene.put(*(work(f"w{n}") for n in range(WAITING_MAX)))
    scene.put(Measure("m", Prompt(payload="x")), ago_s=-WAIT_S)
    scene.slow.may_end.release(WAITING_MAX + 1)
    scene.told(WAITING_MAX + 1)
    scene.put(Measure("next", Prompt(payload="x")), ago_s=-WAIT_S)
    assert scene.heard() == Measured("next", 7)


def test_measures_that_are_alike_are_answered_in_one_write(scene: Scene) -> None:
    scene.begin("before")
    scene.put(*(Measure(str(n), Prompt(payload="x")) for n in range(5)), ago_s=-WAIT_S)
    scene.slow.may_end.release()
    assert [one.id for one in scene.heard_at_once() if isinstance(one, Measured)] == list("01234")


@pytest.mark.parametrize(
    "other",
    [
        Measure("other", Prompt(payload="x"), schema="{}"),
        Measure("other", Prompt(payload="x" * (SHORT_CHARACTERS + 1))),
    ],
    ids=["whose schema may be compiled for long", "with a long text"],
)
def test_an_answer_waits_for_no_measure(scene: Scene, other: Measure) -> None:
    scene.begin("before")
    scene.put(Measure("quick", Prompt(payload="x")), other, ago_s=-WAIT_S)
    scene.slow.may_be_measured.acquire()
    scene.slow.may_end.release()
    assert scene.heard() == Measured("quick", 7)
    scene.slow.may_be_measured.release()
    assert scene.heard() == Measured("other", 7)
