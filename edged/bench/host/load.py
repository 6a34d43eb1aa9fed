"""The load: a device that keeps more prompts waiting at the board than its batch can hold.

In:  the daemon's configuration.     Out: output tokens over time.
It asks over the broker, as devices do, for a template of the shipped model.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from edged.bench.host.beside import beside
from edged.bench.host.judge import Span
from edged.config import Config
from edged.contract import EVENTS, Outbound
from edged.errors import BrokerGone, EdgedError
from edged.mqtt import Session, Will
from edged.topics import Topics

CLIENT = "bench"
TEMPLATE = "maintenance-note"
# More than share a batch, so that one is always there to take an ended one's place.
OUTSTANDING = 32
TTL_S = 600.0
CONNECT_S_MAX = 10.0
FAULTS = ("loses oil", "makes a grinding noise", "has no power", "is stuck", "is overheating")


def note(number: int) -> str:
    """Return a message; no two of 450 are the same."""
    fault = FAULTS[number % len(FAULTS)]
    return f"forklift {number % 90 + 1} {fault} at gate {number % 9 + 1}, please look at it"


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: when the engine began it and when it came."""

    start_s: float
    end_s: float
    tokens: int

    def tokens_within(self, start_s: float, end_s: float) -> float:
        """Return the tokens that fall between two moments, spread evenly over the answer's time."""
        inside_s = min(end_s, self.end_s) - max(start_s, self.start_s)
        return self.tokens * max(0.0, inside_s) / max(1e-9, self.end_s - self.start_s)


class Load:
    """A saturating client; `run` connects and asks until it is cancelled."""

    def __init__(self, settings: Config) -> None:
        broker = settings.broker.model_copy(update={"session_expiry_s": 60})
        self._topics = Topics(settings.node.site, settings.node.name)
        self._session = Session(
            broker,
            client_id=f"edged-bench-{os.getpid()}-{settings.node.name}",
            filters=(self._topics.response_filter(CLIENT),),
            will=Will(f"{self._topics.response(CLIENT, 'bench')}/gone", b""),
        )
        self._numbers = itertools.count()
        self._open: set[str] = set()
        self._came = asyncio.Event()
        self._answers: list[Answered] = []

    def tokens_s(self, span: Span) -> float:
        """Return the output tokens per second of a span, settled, when all its answers have ended.

        Of an answer that was under way at either end its share of the time counts.
        """
        start_s, end_s = span.settled_s, span.end_s
        counted = sum(one.tokens_within(start_s, end_s) for one in self._answers)
        return counted / (end_s - start_s)

    async def under_way_ended(self) -> None:
        """Wait until all prompts are answered that are at the board now, with it as it is.

        Were it freed or paused first, these would end faster than they began, and too many of
        their tokens would count as of before.
        """
        waited_for = set(self._open)
        while waited_for & self._open:
            self._came.clear()
            await self._came.wait()

    async def run(self) -> None:
        """Keep the board saturated until cancelled.

        Raises:
            EdgedError: no broker, or the board does not answer as it should.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._session.run())
            await self._connected()
            for _ in range(OUTSTANDING):
                await self._ask()
            while True:
                for _ in range(await self._answered()):
                    await self._ask()

    async def _connected(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await self._session.connected()
        except TimeoutError as error:
            raise BrokerGone(self._session.state.problem or "the broker does not answer") from error

    async def _ask(self) -> None:
        number = next(self._numbers)
        id_ = f"b-{number}"
        self._open.add(id_)
        body = {"template": TEMPLATE, "input": note(number), "ttl_s": TTL_S}
        topic = f"{self._topics.board}/req/{CLIENT}/{id_}"
        await self._session.publish(Outbound(topic, json.dumps(body).encode()))

    async def _answered(self) -> int:
        """Return how many answers came; wait for one at least."""
        count = 0
        while not count:
            group = await self._session.deliveries()
            self._session.acknowledge(group)
            now_s = time.monotonic()
            for delivery in group:
                reply: dict[str, Any] = json.loads(delivery.inbound.payload)
                count += self._take(reply, now_s)
        return count

    def _take(self, reply: dict[str, Any], now_s: float) -> bool:
        """Note an answer; return whether it is one."""
        event = reply["event"]
        if event == "done":
            timing = reply["timing"]
            ran_s = timing["total_s"] - timing["queued_s"]
            tokens = reply["usage"]["output_tokens"]
            self._answers.append(Answered(now_s - ran_s, now_s, tokens))
            self._open.discard(reply["id"])
            self._came.set()
            return True
        if event == "refused" or EVENTS[event][1]:
            why = f"{event} {reply.get('reason', '')}: {reply.get('detail', '')}"
            raise EdgedError(f"the board did not answer a prompt of the benchmark: {why}")
        return False


@asynccontextmanager
async def loaded(settings: Config) -> AsyncIterator[Load]:
    """Keep a board saturated until the block ends."""
    load = Load(settings)
    async with beside(load.run()):
        yield load
