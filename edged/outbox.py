"""The way out: every outcome is published until the broker has acknowledged it.

In:  settled rows of the spool.     Out: PUBLISH at QoS 1; rows marked delivered on PUBACK.
At most a window of outcomes is under way; the spool holds the rest. None waits for the PUBACK of
another one, nor for the disk to know of it. After a broken connection whatever has no PUBACK is
published again: devices may see an outcome twice, always the same bytes. One that seems to be why
connections end is held back for a while, so that the others get through.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from edged.answers import Answers
from edged.diary import Diary
from edged.errors import BrokerGone
from edged.mqtt import Session
from edged.spool.queue import Spool
from edged.spool.rows import Letter

WINDOW = 64
AGAIN_S = 0.1
# A broker answers in order and says nothing before it ends a connection for what it was sent: an
# outcome that so many connections in a row ended with, as the oldest without a PUBACK, is suspect.
BLAMES_MAX = 3
HOLD_S_MIN = 60.0
HOLD_S_MAX = 3600.0


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
        # By serial, oldest first: published or about to be, and without a PUBACK.
        self._unacknowledged: dict[int, Letter] = {}
        self._blames: Counter[int] = Counter()
        self._held: set[int] = set()

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
                    self._unacknowledged[letter.serial] = letter
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
        kept_back = self._under_way | self._held
        at_most = WINDOW + len(self._held)
        self._is_behind = False
        found = await self._spool.letters(0, at_most)
        waiting = [letter for letter in found if letter.serial not in kept_back]
        seen = {letter.serial for letter in waiting}
        self._fresh = [letter for letter in self._fresh if letter.serial not in seen]
        if len(found) == at_most or len(waiting) > room:
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
            if letter is next(iter(self._unacknowledged.values())):
                self._blame(letter)
            # The session has yet to notice what we noticed: let it run.
            await asyncio.sleep(AGAIN_S)
            del self._unacknowledged[letter.serial]
            self._under_way.discard(letter.serial)
            self.wake()
        else:
            del self._unacknowledged[letter.serial]
            del self._blames[letter.serial]
            self._acknowledged.put_nowait((letter, acknowledged.claimed))

    def _blame(self, letter: Letter) -> None:
        """Count a connection that ended with this outcome; hold it back after some in a row."""
        self._blames[letter.serial] += 1
        surplus = self._blames[letter.serial] - BLAMES_MAX
        if surplus >= 0:
            hold_s = min(HOLD_S_MAX, HOLD_S_MIN * 2.0 ** min(surplus, 16))
            self._held.add(letter.serial)
            asyncio.get_running_loop().call_later(hold_s, self._release, letter.serial)
            self._diary.held(letter, hold_s)

    def _release(self, serial: int) -> None:
        self._held.discard(serial)
        self.wake()

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
