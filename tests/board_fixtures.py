"""A daemon without its broker on a virtual board, for tests in virtual time.

In: a configuration, a board whose meter and clocks are simulated.  Out: the daemon's own parts at
work there, prompts that keep them busy, and the note that the spool keeps.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edged.answers import Answers
from edged.board.soc import KNOBS, SOCS
from edged.board.virtual.live import LiveBoard
from edged.board.virtual.plant import drawn
from edged.config import Config
from edged.contract import Destination
from edged.diary import Diary
from edged.dispatch import Dispatch
from edged.engine.frames import Prompt
from edged.metrics import Metrics
from edged.mqtt import Session, Will
from edged.outbox import Outbox
from edged.power.account import Account, Joules
from edged.power.governor import Governor
from edged.power.kept import FILE, Kept
from edged.power.outfit import Parts, estimate_here, outfit
from edged.spool.queue import Spool
from edged.spool.rows import Candidate, Job
from tests.virtual_time import NearEngine, VirtualLoop

LEAD_S = 10.0
# More than the batch holds, so that one is always there to take the place of an answered one.
WAITING = 12
ANSWER = {"type": "string", "minLength": 58, "maxLength": 58}


@dataclass(frozen=True, slots=True)
class Board:
    """A daemon without its broker, on a virtual board."""

    loop: VirtualLoop
    live: LiveBoard
    spool: Spool
    engine: NearEngine
    dispatch: Dispatch
    diary: Diary
    power: Governor

    async def accept(self, number: int, **changes: Any) -> None:
        """Have the spool accept a prompt of 256 bytes for an answer of 60."""
        job = Job(Prompt(payload="x" * 240), json.dumps(ANSWER))
        candidate = Candidate(
            client="dev",
            id=f"p-{number}",
            board_given=False,
            fingerprint=str(number),
            packet=number,
            duplicate=False,
            job=job,
            destination=Destination("reply"),
            ttl_s=86_400.0,
            priority=5,
            receipt=False,
            stream=False,
            replace=None,
        )
        await self.spool.accept([replace(candidate, **changes)])
        self.dispatch.wake()

    async def saturate(self, until_s: float) -> int:
        """Keep more prompts waiting than fit the batch; return how many were accepted."""
        number = 0
        while self.loop.time() < until_s:
            while len(self.spool.rows) < WAITING:
                await self.accept(number)
                number += 1
            await asyncio.sleep(0.2)
        return number


@asynccontextmanager
async def board(
    loop: VirtualLoop, config: Config, live: LiveBoard, parts: Parts | None = None
) -> AsyncIterator[Board]:
    """Run the daemon's parts but for the broker's side."""
    engine = NearEngine(config, live, loop)
    parts = parts or Parts(live.board.plant.soc, live, live, live.run)
    held = outfit(config, parts, Kept(config.state_dir / FILE), loop.time)
    estimate = estimate_here(config, lambda: None, parts.table, loop.time)
    power = Governor(held, estimate, engine, Account(Joules()), loop.time)
    answers = Answers("edge-1")
    spool = Spool(config.state_dir, config.spool, answers.superseded)
    await spool.open()
    session = Session(config.broker, client_id="c", filters=(), will=Will("t", b""))
    diary = Diary(Metrics())
    outbox = Outbox(session, spool, answers, diary, 60.0)
    dispatch = Dispatch(config, spool, engine, session, outbox, answers, diary, power)
    tasks = [asyncio.ensure_future(part.run()) for part in (engine, dispatch, power)]
    try:
        yield Board(loop, live, spool, engine, dispatch, diary, power)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await spool.close()


def virtual_board(
    loop: VirtualLoop, name: str = "rk3588", domains: frozenset[str] = KNOBS, seed: int = 0
) -> LiveBoard:
    return LiveBoard(drawn(SOCS[name], seed), domains, loop.time, keeps_all=True)


def note_in(state_dir: Path) -> str | None:
    """Return the note as another opening of the same file reads it."""
    with sqlite3.connect(state_dir / "spool.db") as database:
        found = database.execute("SELECT text FROM note").fetchone()
    return None if found is None else str(found[0])
