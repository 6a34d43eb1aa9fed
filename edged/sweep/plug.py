"""Listens to the plug of `[plug]`, through the broker, while a calibration runs.

In:  the configuration.     Out: an `ExternalMeter` that is told whatever the plug says.
The session is its own, of the shortest life that the configuration allows: the daemon never
subscribes to a plug.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from edged.board.meter import Meter
from edged.board.meters.doubt import Doubted
from edged.board.meters.external import ExternalMeter, Plug
from edged.config import Config
from edged.errors import BrokerGone, ConfigError
from edged.mqtt import Session, Will
from edged.topics import Topics

CONNECT_S_MAX = 10.0
SESSION_EXPIRY_S = 60


def plug_of(config: Config) -> Plug:
    """Return the configured plug.

    Raises:
        ConfigError: there is none.
    """
    told = config.plug
    if told.topic is None:
        raise ConfigError(
            "no plug is configured: put its topic into `[plug] topic`, and its kind into "
            "`[plug] kind`; or calibrate against a chip with --meter auto"
        )
    return Plug(told.kind, told.topic, told.boundary, told.period_s)


@asynccontextmanager
async def listening(config: Config, plug: Plug, clock: Callable[[], float]) -> AsyncIterator[Meter]:
    """Connect, subscribe to the plug, and hand out its meter.

    Raises:
        BrokerGone: no broker answers; it says where.
    """
    meter = ExternalMeter(plug, clock)
    topics = Topics(config.node.site, config.node.name)
    session = Session(
        config.broker.model_copy(update={"session_expiry_s": SESSION_EXPIRY_S}),
        client_id=f"edged-calibrate-{os.getpid()}",
        filters=plug.filters,
        # A will must be given; nobody listens to this one.
        will=Will(topics.response("calibrate", "gone"), b""),
    )
    tasks = [asyncio.ensure_future(session.run()), asyncio.ensure_future(_tell(session, meter))]
    try:
        await _subscribed(session, f"{config.broker.host}:{config.broker.port}")
        yield Doubted(meter, plug.bounds, clock)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _subscribed(session: Session, where: str) -> None:
    waiting = asyncio.ensure_future(session.connected())
    done, _ = await asyncio.wait({waiting}, timeout=CONNECT_S_MAX)
    if not done:
        waiting.cancel()
        silent = f"no answer from the broker at {where} within {CONNECT_S_MAX:.0f} s"
        raise BrokerGone(session.state.problem or silent)


async def _tell(session: Session, meter: ExternalMeter) -> None:
    while True:
        group = await session.deliveries()
        session.acknowledge(group)
        for one in group:
            told = one.inbound
            meter.take(told.topic, told.payload, is_retained=told.retained)
