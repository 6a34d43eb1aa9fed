"""Figures a few times a second, while somebody watches.

In:  watches of viewers, the board's state, steps and outcomes as the diary has them.
Out: `LiveFigures` on the topic `live`, at QoS 0.
A watch is good for `WATCH_S`; viewers renew it. Without one nothing ticks and nothing is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from edged.contract import Inbound, Outbound
from edged.diary import Diary
from edged.live_figures import Batch, LiveFigures, LivePower, Pace
from edged.mqtt import Session
from edged.spool.queue import Spool
from edged.topics import Topics

WATCH_S = 10.0
EVERY_S = 0.5
# The pace is that of so many messages.
PACE_TICKS = 4


class Live:
    """Publishes figures as long as a watch is renewed."""

    def __init__(
        self,
        topics: Topics,
        session: Session,
        spool: Spool,
        diary: Diary,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._session = session
        self._spool = spool
        self._diary = diary
        self._clock = clock
        self._until_s = clock()
        self._watched = asyncio.Event()
        self._ticks: deque[tuple[float, int, int]] = deque(maxlen=PACE_TICKS + 1)

    def hear(self, inbound: Inbound) -> None:
        """Take a watch; a retained one is nobody's who is there now."""
        if inbound.topic == self._topics.watch and not inbound.retained:
            self._until_s = self._clock() + WATCH_S
            self._watched.set()

    async def run(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Publish while watched, until cancelled; `state` returns the board's."""
        while True:
            await self._watched.wait()
            if self._clock() >= self._until_s:
                self._watched.clear()
                self._ticks.clear()
                continue
            body = self._figures(state()).model_dump_json().encode()
            message = Outbound(self._topics.live, body, content_type="application/json")
            self._session.publish_unacknowledged(message)
            await asyncio.sleep(EVERY_S)

    def _figures(self, state: Mapping[str, Any]) -> LiveFigures:
        limits = state["limits"]
        return LiveFigures(
            node=state["node"],
            mode=state["service"]["mode"],
            engine=state["engine"]["phase"],
            power=LivePower.model_validate(state["power"]),
            tokens_per_s=self._pace(),
            batch=Batch(
                running=state["queue"]["running"],
                sequences=limits["sequences"],
                context_tokens=limits["context_tokens"],
            ),
            queue=self._queue(),
            temperature_c=state["temperature_c"],
            last=tuple(self._diary.last),
        )

    def _pace(self) -> Pace:
        """Return the tokens a second since the oldest of the last messages."""
        self._ticks.append((self._clock(), self._diary.prefilled, self._diary.decoded))
        (then_s, prefilled, decoded), (now_s, prefilled_now, decoded_now) = (
            self._ticks[0],
            self._ticks[-1],
        )
        if now_s <= then_s:
            return Pace(prefill=0.0, decode=0.0)
        return Pace(
            prefill=round((prefilled_now - prefilled) / (now_s - then_s), 1),
            decode=round((decoded_now - decoded) / (now_s - then_s), 1),
        )

    def _queue(self) -> dict[str, int]:
        waiting: Counter[int] = Counter()
        for (_, priority), found in self._spool.rows.flows(self._spool.clock.now_s()).items():
            waiting[priority] += len(found.rows)
        return {str(priority): waiting[priority] for priority in sorted(waiting, reverse=True)}
