"""The way out: every outcome is published until the broker has acknowledged it.

In:  settled rows of the spool.     Out: PUBLISH at QoS 1; rows marked delivered on PUBACK.
At most a window of outcomes is under way; the spool holds the rest. After a broken connection
whatever has no PUBACK is published again: devices may see an outcome twice, always the same bytes.
"""

from __future__ import annotations

import asyncio
import logging

from edged.answers import Answers
from edged.diary import Diary
from edged.errors import BrokerGone
from edged.mqtt import Session
from edged.spool.queue import Spool
from edged.spool.rows import Letter

log = logging.getLogger(__name__)

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

    def wake(self) -> None:
        """Rows were settled."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver while connected, for ever."""
        while True:
            await self._session.connected()
            self._woken.clear()
            try:
                await self._deliver_all()
            except BrokerGone:
                # The session has yet to notice what we noticed: let it run.
                await asyncio.sleep(AGAIN_S)
                continue
            await self._woken.wait()

    async def _deliver_all(self) -> None:
        while letters := await self._spool.letters(0, WINDOW):
            claims = await asyncio.gather(
                *(self._deliver(letter) for letter in letters), return_exceptions=True
            )
            acknowledged = {
                letter.serial: claim
                for letter, claim in zip(letters, claims, strict=True)
                if isinstance(claim, bool)
            }
            if acknowledged:
                await self._spool.delivered(acknowledged)
            for letter in letters:
                if letter.serial in acknowledged:
                    self._diary.delivered(letter, claimed=acknowledged[letter.serial])
            for claim in claims:
                if isinstance(claim, BaseException):
                    raise claim

    async def _deliver(self, letter: Letter) -> bool:
        """Publish one outcome; return whether anybody subscribes to its topic."""
        age_s = self._spool.clock.now_s() - letter.settled_s
        message = self._answers.letter(letter, self._outcome_ttl_s - age_s)
        acknowledged = await self._session.publish(message)
        return acknowledged.claimed
