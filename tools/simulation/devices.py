"""The devices of a simulated dock: they ask, ask again, ask wrongly, and cancel.

In:  a seed's chance.     Out: messages at the broker: late, in another order, twice or never.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass
from typing import Any

from tools.simulation.broker import Broker
from tools.simulation.engine import CRASHES, HANGS
from tools.simulation.observer import BOARD, CORRELATION, Asked, Observer
from tools.simulation.wire import EXPIRY, Message

CLIENTS = ("scanner", "gate", "forklift")
SCHEMA = {
    "type": "object",
    "properties": {"dock": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["dock"],
    "additionalProperties": False,
}
# Free text ends soon in the simulated model; this takes more than a hundred milliseconds.
WORDS = {"type": "string", "minLength": 60, "maxLength": 60}
# A device asks again after these; the contract's own advice.
AGAIN_S = (1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Habits:
    """What is usual in one seed.

    Attributes:
        pause_s: mean time between two bursts.
        loss: share of messages that never reach the broker.
        delay_s: the longest that one is under way.
        deadly: share of prompts that end or hang an engine.
    """

    pause_s: float
    loss: float
    delay_s: float
    deadly: float


class Devices:
    """All of them together."""

    def __init__(
        self, broker: Broker, observer: Observer, chance: random.Random, habits: Habits
    ) -> None:
        self._broker = broker
        self._observer = observer
        self._chance = chance
        self._habits = habits
        self._count = 0
        self._sent: list[tuple[str, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Ask in bursts until cancelled."""
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / self._habits.pause_s))
            for _ in range(self._chance.choice((1, 1, 2, 5))):
                self._ask_something()

    def _ask_something(self) -> None:
        kind = self._chance.random()
        if kind < 0.08 and self._sent:
            client, id = self._chance.choice(self._sent)
            self._send(Message(f"{BOARD}/cancel/{client}/{id}", b"", fields=self._fields("cancel")))
        elif kind < 0.14:
            self._ask_wrongly()
        else:
            self._ask()

    def _ask(self) -> None:
        chance, client = self._chance, self._chance.choice(CLIENTS)
        id = f"p-{self._count}"
        if chance.random() < 0.04 and self._sent:
            client, id = chance.choice(self._sent)  # the same id for another prompt
        self._sent.append((client, id))
        body = self._body()
        has_id = chance.random() < 0.9
        topic = f"{BOARD}/req/{client}/{id}" if has_id else f"{BOARD}/req/{client}"
        expiry_s = chance.choice((None, None, 30, 90))
        message = Message(topic, json.dumps(body).encode(), fields=self._fields("ask", expiry_s))
        self._later(message, len(AGAIN_S) if chance.random() < 0.5 else 0)

    def _body(self) -> dict[str, Any]:
        chance, body = self._chance, dict[str, Any]()
        body["prompt"] = f"pallet {self._count} at door {chance.randrange(9)}"
        if chance.random() < self._habits.deadly:
            body["prompt"] += f" {chance.choice((CRASHES, CRASHES, HANGS))}"
        if chance.random() < 0.4:
            body["schema"] = chance.choice((SCHEMA, WORDS))
        else:
            body["max_tokens"] = chance.choice((1, 4, 12, 40))
        for name in ("receipt", "stream"):
            if chance.random() < 0.4:
                body[name] = True
        if chance.random() < 0.3:
            body["priority"] = chance.randrange(10)
        if chance.random() < 0.1:
            body["replace"] = chance.choice(("door", "gate"))
        body["ttl_s"] = chance.choice((2, 20, 60, 120))
        return body

    def _ask_wrongly(self) -> None:
        topic = f"{BOARD}/req/{self._chance.choice(CLIENTS)}/w-{self._count}"
        payload = self._chance.choice(
            (b"{nonsense", b"\xff\xfe", b'{"prompt":"x","colour":1}', b'{"prompt":""}', b"")
        )
        retain = self._chance.random() < 0.2
        message = Message(topic, payload, retain=retain, fields=self._fields("wrong"))
        self._later(message, 0)

    def _fields(self, kind: str, expiry_s: int | None = None) -> tuple[tuple[int, Any], ...]:
        """Return the properties of a message that nobody else has."""
        key = f"{kind}-{self._count}".encode()
        self._count += 1
        self._observer.asked[key] = Asked("")
        expiry = () if expiry_s is None else ((EXPIRY, expiry_s),)
        return ((CORRELATION, key), *expiry)

    def _later(self, message: Message, copies: int) -> None:
        """Send a message, and again until there is an outcome or patience ends."""
        self._observer.asked[message.field(CORRELATION)].text = message.payload.decode("latin-1")
        self._send(message)
        if copies:
            task = asyncio.ensure_future(self._insist(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _insist(self, message: Message) -> None:
        asked = self._observer.asked[message.field(CORRELATION)]
        for pause_s in AGAIN_S:
            await asyncio.sleep(pause_s * self._chance.uniform(0.8, 1.2))
            if asked.outcomes:
                return
            self._send(message)

    def _send(self, message: Message) -> None:
        if self._chance.random() < self._habits.loss:
            return
        loop = asyncio.get_running_loop()
        for _ in range(2 if self._chance.random() < 0.03 else 1):
            delay_s = self._chance.uniform(0.0, self._habits.delay_s)
            loop.call_later(delay_s, self._arrive, message)

    def _arrive(self, message: Message) -> None:
        self._observer.note("device", f"{message.topic} {message.field(CORRELATION)!r}")
        self._broker.publish(message)
