"""A board that is asked for half as much again as it can answer: who waits, who is refused.

In:  a folder, a broker's port.     Out: what became of every prompt, and when; memory.
An urgent prompt comes each second, at a drawn moment of it: first to a board that has nothing else
to do, then beside clients that ask for the rest of 150 % of what it can answer. Those are many, and
each is held to its quota. The engine is the simulated one: what it can answer does not hang on what
else the machine does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edged.bench.delivery.board import Board, Tables
from edged.bench.delivery.device import OUTCOMES, Device, Heard, Prompt
from edged.bench.delivery.used import resident_bytes
from edged.errors import EngineUnusable

LOAD_SHARE = 1.5
URGENT, URGENT_PER_S = "urgent", 1.0
USUAL = tuple(f"usual-{number}" for number in range(8))
OUTSTANDING = 50
TABLES: Tables = {
    "engine": {"backend": "sim"},
    "model": {"sequences": 16},
    "quota": {"outstanding_max": OUTSTANDING},
}
# The simulated engine takes 2 ms for each of these characters, and as long for its neighbours'.
ANSWER_CHARS = 24
SCHEMA = {"type": "string", "minLength": ANSWER_CHARS, "maxLength": ANSWER_CHARS}
ENDS = (*OUTCOMES, "refused")
# Of the part that measures what the board can answer: by then its batch is full.
WARM_SHARE = 0.25
# A prompt that was taken has its outcome within its ttl, 300 s.
LAST_REPLY_S = 310.0
MEMORY_EVERY_S = 1.0
SEED = 1

# Client and id.
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long each part takes, s."""

    capacity_s: float
    alone_s: float
    loaded_s: float


@dataclass(frozen=True, slots=True)
class Sending:
    """When a client asks, s from the start."""

    at_s: float
    client: str


@dataclass(slots=True)
class Books:
    """What was asked and what came of it, as the devices saw it.

    Attributes:
        asked: when, by client and id, monotonic s.
        ends: outcomes and refusals, likewise.
        memory_bytes: of the daemon, once a second.
    """

    asked: dict[Name, float] = field(default_factory=dict)
    ends: dict[Name, list[Heard]] = field(default_factory=dict)
    memory_bytes: list[int] = field(default_factory=list)

    @property
    def open(self) -> int:
        """How many prompts have not ended."""
        return len(self.asked) - len(self.ends)

    def took_s(self, name: Name) -> float:
        """Return the seconds from the publish to the end."""
        return self.ends[name][0].at_s - self.asked[name]


@dataclass(frozen=True, slots=True)
class Overload:
    """What the parts found.

    Attributes:
        capacity_per_s: answers of a board that always has enough to do.
        offered_per_s: prompts that were published in the loaded part.
    """

    capacity_per_s: float
    offered_per_s: float
    alone: Books
    loaded: Books


def overload(folder: Path, port: int, lasting: Lasting, preload: Path | None = None) -> Overload:
    """Measure on one board, with a library that goes before its libc if there is one.

    Raises:
        EngineUnusable: it does not become ready, or answers next to nothing.
    """
    with Board(folder, port, TABLES, preload) as board, Device(port) as device:
        board.wait_until_ready()
        device.listen(f"{board.topic}/res/+/+")
        capacity_per_s = _capacity_per_s(_Part(board, device, "capacity"), lasting.capacity_s)
        alone = _driven(_Part(board, device, "alone"), sendings(lasting.alone_s, 0.0))
        usual_per_s = LOAD_SHARE * capacity_per_s - URGENT_PER_S
        loaded = _driven(_Part(board, device, "loaded"), sendings(lasting.loaded_s, usual_per_s))
    return Overload(capacity_per_s, len(loaded.asked) / lasting.loaded_s, alone, loaded)


def sendings(lasting_s: float, usual_per_s: float) -> list[Sending]:
    """Return who asks when, in order; the urgent one at the same moments whatever the others do."""
    urgent, usual = random.Random(SEED), random.Random(SEED + 1)
    count = int(lasting_s * URGENT_PER_S)
    planned = [
        Sending((number + urgent.random()) / URGENT_PER_S, URGENT) for number in range(count)
    ]
    moments = _moments(usual, lasting_s, usual_per_s) if usual_per_s > 0 else ()
    planned += [Sending(at_s, usual.choice(USUAL)) for at_s in moments]
    return sorted(planned, key=lambda one: one.at_s)


def _moments(drawn: random.Random, lasting_s: float, per_s: float) -> Iterator[float]:
    """Yield moments that do not know of each other."""
    at_s = drawn.expovariate(per_s)
    while at_s < lasting_s:
        yield at_s
        at_s += drawn.expovariate(per_s)


class _Part:
    """One part of the measurement: what is asked of a board, and what comes back."""

    def __init__(self, board: Board, device: Device, name: str) -> None:
        self.books = Books()
        self._board = board
        self._device = device
        self._name = name
        self._began_s = device.now_s()

    @property
    def now_s(self) -> float:
        """Return the seconds since it began."""
        return self._device.now_s() - self._began_s

    def ask(self, client: str) -> None:
        """Publish a prompt."""
        id = f"{self._name}-{len(self.books.asked)}"
        priority = 7 if client == URGENT else 3
        table = {"prompt": "say something", "schema": SCHEMA, "priority": priority}
        self.books.asked[client, id] = self._device.now_s()
        topic = f"{self._board.topic}/req/{client}/{id}"
        self._device.send(Prompt(topic, json.dumps(table).encode()))

    def hear(self, until_s: float) -> Name | None:
        """Wait for the next end of a prompt and take it down; None if none comes until then."""
        while (heard := self._device.heard(self._began_s + until_s)) is not None:
            if heard.reply["event"] in ENDS:
                _, client, id = heard.topic.rsplit("/", 2)
                self.books.ends.setdefault((client, id), []).append(heard)
                return client, id
        return None

    def weigh(self) -> None:
        """Take the daemon's memory down, if it is time."""
        if self.now_s >= len(self.books.memory_bytes) * MEMORY_EVERY_S:
            self.books.memory_bytes.append(resident_bytes(self._board.pid))

    def finish(self) -> None:
        """Wait for what has not ended, as long as it may take."""
        last_s = self.now_s + LAST_REPLY_S
        while self.books.open and self.hear(last_s) is not None:
            continue


def _capacity_per_s(part: _Part, lasting_s: float) -> float:
    """Ask one more prompt for each that ends; return how many end per second."""
    for _ in range(OUTSTANDING):
        part.ask(USUAL[0])
    counted, warm_s = 0, WARM_SHARE * lasting_s
    while part.hear(lasting_s) is not None:
        counted += part.now_s >= warm_s
        part.ask(USUAL[0])
    part.finish()
    per_s = counted / (lasting_s - warm_s)
    if per_s < URGENT_PER_S:
        raise EngineUnusable(f"the board answers {per_s:.2f} prompts/s: too few to load it with")
    return per_s


def _driven(part: _Part, planned: Sequence[Sending]) -> Books:
    for sending in planned:
        while part.hear(sending.at_s) is not None:
            part.weigh()
        part.ask(sending.client)
        part.weigh()
    part.finish()
    return part.books
