"""The figures of one board, as long as somebody looks.

In:  the broker's table, the board's topics.     Out: `LiveFigures`, each as it comes.
The watch is renewed until the viewer goes; then the board falls silent by itself.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable

from pydantic import ValidationError

from edged.config import Broker
from edged.contract import Outbound
from edged.live_figures import LiveFigures
from edged.mqtt import Session, Will
from edged.topics import Topics

# Twice in the time that a board believes a watch.
RENEW_S = 5.0
# The shortest session the broker's configuration allows: nobody comes back for this one.
SESSION_EXPIRY_S = 60


class Feed:
    """Watches one board.

    Args:
        broker: where the site's boards are heard.
        topics: whose figures.
    """

    def __init__(self, broker: Broker, topics: Topics) -> None:
        self._topics = topics
        self._session = Session(
            broker.model_copy(update={"session_expiry_s": SESSION_EXPIRY_S}),
            client_id=f"edged-top-{os.getpid()}-{secrets.token_hex(3)}",
            filters=(topics.live,),
            # A will must be given, where a viewer may write; empty, it leaves nothing there.
            will=Will(topics.watch, b""),
        )

    @property
    def board(self) -> str:
        """Return whose figures they are."""
        return self._topics.board

    @property
    def problem(self) -> str:
        """Return why none come; "" while the broker is connected."""
        return self._session.state.problem

    async def run(self, seen: Callable[[LiveFigures], None]) -> None:
        """Hand over the figures as they come, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._session.run(), name="session")
            tasks.create_task(self._renew(), name="renew")
            tasks.create_task(self._take(seen), name="take")

    async def _renew(self) -> None:
        while True:
            await self._session.connected()
            self._session.publish_unacknowledged(Outbound(self._topics.watch, b""))
            await asyncio.sleep(RENEW_S)

    async def _take(self, seen: Callable[[LiveFigures], None]) -> None:
        while True:
            group = await self._session.deliveries()
            self._session.acknowledge(group)
            for delivery in group:
                figures = read(delivery.inbound.payload)
                if figures is not None:
                    seen(figures)


def read(payload: bytes) -> LiveFigures | None:
    """Return the figures in a message; None where a stranger said something else there."""
    try:
        return LiveFigures.model_validate_json(payload)
    except ValidationError:
        return None
