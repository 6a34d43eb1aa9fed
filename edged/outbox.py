"""The way out: every outcome is published until the broker has acknowledged it.

In:  settled rows of the spool.     Out: PUBLISH at QoS 1; rows marked delivered on PUBACK.
At most a window of outcomes is under way; the spool holds the rest. None waits for the PUBACK of
another one, nor for the disk to know of it. After a broken connection whatever has no PUBACK is
published again: devices may see an outcome twice, always the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from edged.answers import Answers
from edged.diary import Diary
from edged.errors import BrokerGone
from edged.mqtt import Session
from edged.spool.queue import Spool
from edged.spool.rows import Letter

WINDOW = 64
AGAIN_S = 0.1


class Outbox:
    """Delivers outcomes, oldest first."""

    def __init__(
        self,
        session: Session,
        spool: Spool,
        answers: Answers,
        diary: Diary,
        outcome_ttl_s: float,
    ) -> None:
        self._session = session
        self._spool = spool
        self._answers = answers
        self._diary = diary
        self._outcome_ttl_s = outcome_ttl_s
        self._woken = asyncio.Event()
        # By serial: published or about to be, and not marked as delivered.
        self._under_way: set[int] = set()
        # Settled just now; empty, and behind, where older ones wait: the spool has the order.
        self._fresh: list[Letter] = []
        self._is_behind = True
        self._acknowledged: asyncio.Queue[tuple[Letter, bool]] = asyncio.Queue()

    def post(self, letters: Sequence[Letter]) -> None:
        """Deliver what was settled now, without a look into the spool where nothing older waits."""
        self._fresh += letters
        if len(self._fresh) > WINDOW:
            self._fall_behind()
        self._woken.set()

    def wake(self) -> None:
        """Rows were settled, and the spool knows which."""
        self._fall_behind()
        self._woken.set()

    async def run(self) -> None:
        """Deliver while connected, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mark_delivered(), name="mark delivered")
            while True:
                await self._session.connected()
                self._woken.clear()
                for letter in await self._next():
                    self._under_way.add(letter.serial)
                    tasks.create_task(self._deliver(letter), name=f"deliver {letter.serial}")
                await self._woken.wait()

    async def _next(self) -> list[Letter]:
        """Return the oldest outcomes that are not under way, as many as the window has room for."""
        room = WINDOW - len(self._under_way)
        if len(self._fresh) > room:
            self._fall_behind()
        if self._is_behind and room:
            return await self._oldest(room)
        fresh, self._fresh = self._fresh, []
        # A look sees what was settled before those who settled it are told.
        return [letter for letter in fresh if letter.serial not in self._under_way]

    async def _oldest(self, room: int) -> list[Letter]:
        # As of now: one that is marked during the look may still be in what it finds.
        under_way = frozenset(self._under_way)
        self._is_behind = False
        found = await self._spool.letters(0, WINDOW)
        waiting = [letter for letter in found if letter.serial not in under_way]
        seen = {letter.serial for letter in waiting}
        self._fresh = [letter for letter in self._fresh if letter.serial not in seen]
        if len(found) == WINDOW or len(waiting) > room:
            self._fall_behind()
        return waiting[:room]

    def _fall_behind(self) -> None:
        """Leave the rest to the spool."""
        self._fresh.clear()
        self._is_behind = True

    async def _deliver(self, letter: Letter) -> None:
        """Publish one outcome; have it marked when the broker has it."""
        age_s = self._spool.clock.now_s() - letter.settled_s
        message = self._answers.letter(letter, self._outcome_ttl_s - age_s)
        try:
            acknowledged = await self._session.publish(message)
        except BrokerGone:
            # The session has yet to notice what we noticed: let it run.
            await asyncio.sleep(AGAIN_S)
            self._under_way.discard(letter.serial)
            self.wake()
        else:
            self._acknowledged.put_nowait((letter, acknowledged.claimed))

    async def _mark_delivered(self) -> None:
        """Mark what the broker has acknowledged, a group at a time, for ever."""
        while True:
            group = [await self._acknowledged.get()]
            while not self._acknowledged.empty():
                group.append(self._acknowledged.get_nowait())
            await self._spool.delivered({letter.serial: claimed for letter, claimed in group})
            for letter, claimed in group:
                self._diary.delivered(letter, claimed=claimed)
                self._under_way.discard(letter.serial)
            if self._is_behind:
                self._woken.set()
