"""Who watches from outside: the broker's traffic, the engine's work and the spool's files.

In:  what each of them does, at the moment when it does.     Out: violations of the promises, a
trace. It knows nothing of the daemon's inside.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.contract import EVENTS
from edged.engine.frames import Work
from tools.simulation.clocks import Machine
from tools.simulation.disk import SPOOL
from tools.simulation.engine import DEADLY
from tools.simulation.wire import Message

CORRELATION = 0x09
BOARD = "edged/v1/dock/edge-1"
CLIENT = "edged-dock-edge-1"
# Between the choice of a prompt and its arrival at the engine lies one commit.
START_S_MAX = 1.0
# A deadline that passes while nobody hangs is told by then, in the spool.
LATE_S_MAX = 5.0
# One that passes in a hung engine is told when that has been found out and ended.
HUNG_LATE_S_MAX = 60.0


@dataclass
class Asked:
    """What one device asked for, and what it heard. Each has a correlation of its own.

    Attributes:
        chunks: of a streamed answer, by attempt and number.
    """

    text: str
    is_durable: bool = False
    refusals: int = 0
    deaths: int = 0
    outcomes: set[bytes] = field(default_factory=set)
    chunks: dict[tuple[int, int], bytes] = field(default_factory=dict)
    event: str = ""

    @property
    def is_deadly(self) -> bool:
        """Return whether an engine cannot survive it."""
        return any(word in self.text for word in DEADLY)


class Observer:
    """Keeps the books.

    Attributes:
        asked: by correlation.
        counts: of everything that happened.
        violations: in words.
        log: called with each line of the trace.
    """

    def __init__(self, clock: Callable[[], float], machine: Machine, folder: Path) -> None:
        self._folder = folder
        self.asked: dict[bytes, Asked] = {}
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.log: Callable[[str], None] = lambda line: None
        self._clock = clock
        self._machine = machine
        self._digest = hashlib.sha256()
        self._ended_s: dict[int, float] = {}
        self._path: Path | None = None
        self._spool: sqlite3.Connection | None = None

    @property
    def digest(self) -> str:
        """Return what stands for the whole trace."""
        return self._digest.hexdigest()

    def note(self, what: str, detail: str = "") -> None:
        """Write a line of the trace."""
        line = f"{self._clock():.6f} {what} {detail}"
        self._digest.update(line.encode())
        self.counts[what] += 1
        self.log(line)

    def violated(self, promise: str) -> None:
        """A promise is broken."""
        self.violations.append(f"at {self._clock():.3f} s: {promise}")
        self.note("VIOLATION", promise)

    def look_at(self, folder: Path | None) -> None:
        """The spool is in this folder from now on."""
        if self._spool is not None:
            self._spool.close()
        self._spool, self._path = None, None if folder is None else folder / SPOOL

    # The broker's side.

    def published(self, client: str, message: Message) -> None:
        """A client of the broker, in practice the board, has published."""
        key = message.field(CORRELATION)
        # Sentences name files, and each run has a folder of its own.
        said = message.payload.replace(str(self._folder).encode(), b"~")
        self.note("board", f"{message.topic} {_crc(said)} retain={message.retain}")
        if not message.topic.startswith(f"{BOARD}/") or message.topic.startswith(f"{BOARD}/req"):
            self.violated(f"the board published to {message.topic}")
        if key is None or key not in self.asked or message.retain:
            return
        reply = json.loads(message.payload)
        self._replied(self.asked[key], key, reply, message.payload)

    def _replied(self, asked: Asked, key: bytes, reply: dict[str, Any], body: bytes) -> None:
        event = reply["event"]
        self.counts[f"told {event}"] += 1
        if event == "refused":
            asked.refusals += 1
            return
        row = self._row("SELECT state, outcome FROM prompt WHERE correlation = ?", key)
        if event == "accepted":
            asked.is_durable = True
            if row is None:
                self.violated(f"{key!r} was called accepted and is not in the spool")
        if event == "chunk":
            number = (reply["attempt"], reply["seq"])
            if asked.chunks.setdefault(number, body) != body:
                self.violated(f"{key!r} has two chunks {number[1]} of its attempt {number[0]}")
        if not EVENTS[event][1]:
            return
        asked.outcomes.add(body)
        asked.event = event
        if len(asked.outcomes) > 1:
            self.violated(f"{key!r} has {len(asked.outcomes)} distinct outcomes: {asked.outcomes}")
        if row is None or row[1] is None or bytes(row[1]) != body:
            self.violated(f"{key!r}: an outcome was published that is not in the spool")
        self._judge_end(asked, key, reply)

    def _judge_end(self, asked: Asked, key: bytes, reply: dict[str, Any]) -> None:
        if asked.is_deadly and reply["event"] == "done":
            self.violated(f"{key!r} kills engines and was answered")
        is_blamed = reply.get("reason") == "engine_failed" and "ended" in reply.get("detail", "")
        if is_blamed and not asked.is_deadly and asked.deaths < 2:
            self.violated(f"{key!r} is blamed for {asked.deaths} ends of an engine")

    def acknowledged(self, client: str, message: Message) -> None:
        """A client of the broker, in practice the board, has acknowledged a message."""
        key = message.field(CORRELATION)
        self.note("puback", f"{message.topic} {key!r}")
        if "/req/" not in message.topic or key not in self.asked:
            return
        asked = self.asked[key]
        if self._row("SELECT state FROM prompt WHERE correlation = ?", key) is not None:
            asked.is_durable = True
        elif not asked.refusals and not asked.outcomes:
            self.violated(f"{key!r} was acknowledged, is not in the spool and has no refusal")

    # The engine's side.

    def given(self, work: Work, others: Collection[str]) -> None:
        """Work has come to the engine."""
        self.note("work", f"{work.id} beside {sorted(others)}")
        found = self._row(
            "SELECT state, deadline_s, attempts FROM prompt WHERE serial = ?", int(work.id)
        )
        if found is None or found[0] != "running":
            self.violated(f"row {work.id} runs and the spool says {found}")
            return
        now_s = self._spool_s()
        if now_s is not None and found[1] < now_s - START_S_MAX:
            self.violated(f"row {work.id} was begun {now_s - found[1]:.3f} s after its deadline")
        tried = [id for id in others if self._attempts(id)]
        if (found[2] and others) or tried:
            self.violated(f"row {work.id} runs beside {sorted(others)}; {tried} ended an engine")

    def stepping(self, ids: Iterable[str]) -> None:
        """A step has begun."""
        for id in ids:
            found = self._row("SELECT state FROM prompt WHERE serial = ?", int(id))
            if found is None or found[0] in ("settled", "delivered"):
                self.violated(f"a step computes row {id}, and the spool says {found}")
        self.counts["steps"] += 1

    def ended(self, ids: Iterable[str]) -> None:
        """The engine or its connection ended with these in the batch."""
        for id in ids:
            self._ended_s[int(id)] = self._clock()
            found = self._row("SELECT correlation FROM prompt WHERE serial = ?", int(id))
            if found is not None and found[0] in self.asked:
                self.asked[found[0]].deaths += 1

    def killed_in_health(self) -> None:
        """An engine that did nothing wrong was killed: the next one has to load the model."""
        self.violated("a healthy engine was killed")

    def _attempts(self, id: str) -> int:
        found = self._row("SELECT attempts FROM prompt WHERE serial = ?", int(id))
        return 0 if found is None else int(found[0])

    # What should be so at any time, and at the end.

    def check_deadlines(self) -> None:
        """No prompt waits long behind its deadline."""
        now_s = self._spool_s()
        if now_s is None:
            return
        for serial, state, deadline_s in self._rows(
            "SELECT serial, state, deadline_s FROM prompt WHERE state IN ('queued', 'running')"
        ):
            allowed_s = LATE_S_MAX if state == "queued" else HUNG_LATE_S_MAX
            late_s = now_s - deadline_s
            # Queued again a moment ago: until then its engine may have been hung.
            again_s = self._clock() - self._ended_s.get(serial, -math.inf)
            if late_s > allowed_s and again_s > LATE_S_MAX:
                self.violated(f"row {serial} is {state} {late_s:.1f} s after its deadline")

    @property
    def unfinished(self) -> int:
        """Return how many rows have no delivered outcome."""
        found = self._row("SELECT count(*) FROM prompt WHERE state <> 'delivered'")
        return 0 if found is None else int(found[0])

    @property
    def boots(self) -> int:
        """Return how often the spool was opened."""
        found = self._row("SELECT count FROM boot")
        return 0 if found is None else int(found[0])

    def check_books(self) -> None:
        """Everything accepted has exactly one outcome."""
        for key, asked in self.asked.items():
            if asked.is_durable and len(asked.outcomes) != 1:
                self.violated(f"{key!r} was taken and has {len(asked.outcomes)} outcomes")

    def _spool_s(self) -> float | None:
        """Return the spool's time: what it was at the last commit, and what has passed since."""
        found = self._row("SELECT spool_s, boot_id, boottime_s FROM clock")
        if found is None or found[1] != self._machine.instant().boot_id:
            return None
        return float(found[0] + self._machine.boottime_s() - found[2])

    def _row(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        return next(iter(self._rows(statement, *values)), None)

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        if self._spool is None:
            if self._path is None or not self._path.exists():
                return []
            self._spool = sqlite3.connect(str(self._path), isolation_level=None)
            self._spool.execute("PRAGMA query_only = 1")
        return self._spool.execute(statement, values).fetchall()


def _crc(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()[:16]
