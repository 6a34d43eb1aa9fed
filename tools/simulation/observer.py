"""Who watches from outside: the broker's traffic, the engine's work and the spool's files.

In:  what each of them does, at the moment when it does.     Out: violations of the promises, a
trace. It knows nothing of the daemon's inside.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.contract import EVENTS
from edged.engine.frames import Outcome, Work
from tools.simulation.clocks import Machine
from tools.simulation.engine import DEADLY
from tools.simulation.health import Health
from tools.simulation.told import Told
from tools.simulation.view import View
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
# Between a PUBACK of a cancel and the engine lies a frame; between its steps, the step.
CANCEL_S_MAX = 1.0
ROUNDING_S = 0.001
# Nothing waits for so long where nothing goes wrong.
AMPLE_S = 20.0
# So many engines may end with a prompt. Source: `spool.attempts_max`, its default.
DEATHS_MAX = 2


@dataclass
class Asked:
    """What one device asked for, and what it heard. Each has a correlation of its own.

    Attributes:
        text: the payload.
        deaths: engines that ended with it, or their connections.
        chunks: of a streamed answer, by attempt and number.
        born: which daemon had it started first.
    """

    text: str
    is_durable: bool = False
    refusals: int = 0
    deaths: int = 0
    outcomes: set[bytes] = field(default_factory=set)
    chunks: dict[tuple[int, int], bytes] = field(default_factory=dict)
    event: str = ""
    born: int = 0

    @property
    def body(self) -> dict[str, Any]:
        """Return what was asked for, as JSON."""
        found: dict[str, Any] = json.loads(self.text)
        return found

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
        health: the books on engines.
        log: called with each line of the trace.
    """

    def __init__(self, clock: Callable[[], float], machine: Machine, folder: Path) -> None:
        self._folder = folder
        self.asked: dict[bytes, Asked] = {}
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.log: Callable[[str], None] = lambda line: None
        self.health = Health(clock, self.violated)
        self.view = View(machine)
        self._clock = clock
        self._told = Told()
        self._digest = hashlib.sha256()
        self._ended_s: dict[int, float] = {}
        # Of the daemon that lives now: when a row's deadline is, and when its cancel was obeyed.
        self._due_s: dict[int, float] = {}
        self._cancelled_s: dict[int, float] = {}
        # What a power cut would leave: prompts up to here, and these outcomes.
        self._saved_serial, self._saved_ends = 0, set[int]()

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

    def look_at(self, folder: Path) -> None:
        """Another daemon has the spool, in this folder, from now on."""
        self.view.look_at(folder)
        self.view.lives += 1
        self._due_s, self._cancelled_s = {}, {}
        self.saved()

    def saved(self) -> None:
        """A power cut would leave the spool as it is now."""
        found = self.view.row("SELECT max(serial) FROM prompt")
        self._saved_serial = 0 if found is None or found[0] is None else found[0]
        settled = self.view.rows("SELECT serial FROM prompt WHERE state = 'settled'")
        self._saved_ends = {serial for (serial,) in settled}

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
            if reply["reason"] == "engine_down":
                self.health.refused_as_down()
            return
        row = self.view.row("SELECT state, outcome FROM prompt WHERE correlation = ?", key)
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
        self._judge_time(key, event)

    def _judge_end(self, asked: Asked, key: bytes, reply: dict[str, Any]) -> None:
        if asked.is_deadly and reply["event"] == "done":
            self.violated(f"{key!r} kills engines and was answered")
        is_done = reply["event"] == "done"
        if is_done and (wrong := self._told.wrong(key, asked.body.get("schema"), reply)):
            self.violated(f"{key!r} is done: {wrong}")
        is_blamed = reply.get("reason") == "engine_failed" and "ended" in reply.get("detail", "")
        if is_blamed and not asked.is_deadly and asked.deaths < 2:
            self.violated(f"{key!r} is blamed for {asked.deaths} ends of an engine")

    def _judge_time(self, key: bytes, event: str) -> None:
        """An outcome is safe before it is told, and expires no prompt whose time is not over."""
        found = self.view.row(
            "SELECT serial, state, deadline_s, settled_s FROM prompt WHERE correlation = ?", key
        )
        if found is None:
            return
        serial, state, deadline_s, settled_s = found
        if state == "settled" and serial not in self._saved_ends:
            self.violated(f"{key!r}: its {event} is told, and a power cut would take it")
        if event != "expired":
            return
        if settled_s < deadline_s - ROUNDING_S:
            self.violated(f"{key!r} expired {deadline_s - settled_s:.1f} s before its deadline")
        if self._cancelled_s.get(serial, math.inf) < self._due_s.get(serial, -math.inf):
            self.violated(f"{key!r} was cancelled in time, and is called expired")

    def acknowledged(self, client: str, message: Message) -> None:
        """A client of the broker, in practice the board, has acknowledged a message."""
        key = message.field(CORRELATION)
        self.note("puback", f"{message.topic} {key!r}")
        if key not in self.asked:
            return
        asked = self.asked[key]
        if "/cancel/" in message.topic and not (asked.refusals or asked.outcomes):
            self._cancelled(message.topic)
        if "/req/" not in message.topic:
            return
        found = self.view.row("SELECT serial FROM prompt WHERE correlation = ?", key)
        if found is not None:
            asked.is_durable = True
            if found[0] > self._saved_serial:
                self.violated(f"{key!r} was acknowledged, and a power cut would take it")
        elif not asked.refusals and not asked.outcomes:
            self.violated(f"{key!r} was acknowledged, is not in the spool and has no refusal")

    def jumped(self, client: str, message: Message) -> None:
        """A client, in practice the board, has acknowledged a message too early."""
        self.violated(f"{message.topic} was acknowledged before what came before it")

    def _cancelled(self, topic: str) -> None:
        """The board has taken a cancel, and said nothing of it: the prompt is known."""
        client, id = topic.split("/")[-2:]
        found = self.view.row(
            "SELECT serial, deadline_s FROM prompt WHERE client = ? AND id = ? "
            "AND state IN ('queued', 'running')",
            client,
            id,
        )
        if found is not None:
            self.counts["cancelled alive"] += 1
            self._cancelled_s.setdefault(found[0], self._clock())
            self._know_deadline(*found)

    def _know_deadline(self, serial: int, deadline_s: float) -> None:
        now_s = self.view.now_s()
        if now_s is not None:
            self._due_s[serial] = self._clock() + deadline_s - now_s

    # The engine's side.

    def given(self, work: Work, others: Collection[str]) -> None:
        """Work has come to the engine."""
        self._asked_of(work.id)  # whose first daemon is this one, perhaps
        self.note("work", f"{work.id} beside {sorted(others)}")
        found = self.view.row(
            "SELECT state, deadline_s, attempts FROM prompt WHERE serial = ?", int(work.id)
        )
        if found is None or found[0] != "running":
            self.violated(f"row {work.id} runs and the spool says {found}")
            return
        self._know_deadline(int(work.id), found[1])
        now_s = self.view.now_s()
        if now_s is not None and found[1] < now_s - START_S_MAX:
            self.violated(f"row {work.id} was begun {now_s - found[1]:.3f} s after its deadline")
        tried = [id for id in others if self._attempts(id)]
        if (found[2] and others) or tried:
            self.violated(f"row {work.id} runs beside {sorted(others)}; {tried} ended an engine")

    def stepping(self, ids: Iterable[str]) -> None:
        """A step has begun."""
        for id in ids:
            found = self.view.row("SELECT state FROM prompt WHERE serial = ?", int(id))
            if found is None or found[0] in ("settled", "delivered"):
                self.violated(f"a step computes row {id}, and the spool says {found}")
            self._judge_step(int(id))
        self.counts["steps"] += 1

    def _judge_step(self, serial: int) -> None:
        """Nothing is computed long after its deadline, nor after its cancel."""
        late_s = self._clock() - self._due_s.get(serial, math.inf)
        if late_s > LATE_S_MAX:
            self.violated(f"a step computes row {serial} {late_s:.1f} s after its deadline")
        late_s = self._clock() - self._cancelled_s.get(serial, math.inf)
        if late_s > CANCEL_S_MAX:
            self.violated(f"a step computes row {serial} {late_s:.1f} s after its cancel")

    def told(self, outcome: Outcome) -> None:
        """The engine has told what became of a prompt."""
        found = self._asked_of(outcome.id)
        if found is not None:
            self._told.tell(found[0], outcome.text)

    def ended(self, ids: Iterable[str]) -> None:
        """The engine or its connection ended with these in the batch."""
        for id in ids:
            self._ended_s[int(id)] = self._clock()
            found = self._asked_of(id)
            if found is None:
                continue
            key, asked = found
            asked.deaths += 1
            # A death that a daemon ended with is not counted, and neither is that daemon's end.
            if asked.deaths > DEATHS_MAX + self.view.lives - asked.born:
                self.violated(f"{key!r} has ended {asked.deaths} engines")

    def _asked_of(self, id: str) -> tuple[bytes, Asked] | None:
        found = self.view.row("SELECT correlation FROM prompt WHERE serial = ?", int(id))
        if found is None or found[0] not in self.asked:
            return None
        asked = self.asked[found[0]]
        asked.born = asked.born or self.view.lives
        return found[0], asked

    def killed_in_health(self) -> None:
        """An engine that did nothing wrong was killed: the next one has to load the model."""
        self.violated("a healthy engine was killed")

    def _attempts(self, id: str) -> int:
        found = self.view.row("SELECT attempts FROM prompt WHERE serial = ?", int(id))
        return 0 if found is None else int(found[0])

    # What should be so at any time, and at the end.

    def check_deadlines(self) -> None:
        """No prompt waits long behind its deadline."""
        now_s = self.view.now_s()
        if now_s is None:
            return
        for serial, state, deadline_s in self.view.rows(
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
        found = self.view.row("SELECT count(*) FROM prompt WHERE state <> 'delivered'")
        return 0 if found is None else int(found[0])

    @property
    def boots(self) -> int:
        """Return how often the spool was opened."""
        found = self.view.row("SELECT count FROM boot")
        return 0 if found is None else int(found[0])

    def check_answers(self) -> None:
        """Where nothing goes wrong, whoever has time enough is answered."""
        for key, asked in self.asked.items():
            if asked.event in ("expired", "error") and asked.body["ttl_s"] >= AMPLE_S:
                self.violated(f"{key!r} is {asked.event}, and nothing went wrong")

    def check_books(self) -> None:
        """Everything accepted has exactly one outcome."""
        for key, asked in self.asked.items():
            if asked.is_durable and len(asked.outcomes) != 1:
                self.violated(f"{key!r} was taken and has {len(asked.outcomes)} outcomes")


def _crc(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()[:16]
