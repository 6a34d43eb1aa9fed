"""What a pause between two steps saves: the engine's CPU seconds in it.

In:  the shipped model, a real engine process.     Out: a table, a JSON object.
The benchmark gives the permits that the daemon's governor gives, one step each, and pauses before
each as long as is being asked about. CPU seconds are the kernel's, of the engine's process alone.
On a machine that does other work a spinning thread gets less of a core, so pauses look cheaper
there than they are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle

from edged import config
from edged.bench import workload
from edged.bench.host.referee import clocked_s
from edged.bench.resident import ResidentEngine, resident
from edged.bench.system import Setting
from edged.engine.client import Pulse
from edged.engine.frames import Go, Step, Wish
from edged.engine.load import WAIT_POLICY
from edged.engine.threads import compute_threads
from edged.models.installed import find_model

LABEL = "CPU seconds of the engine's process in pauses between its steps"
SPIN = "GOMP_SPINCOUNT"
# Turns that a thread waits for before it sleeps. Source: libgomp's manual, GOMP_SPINCOUNT: 300,000
# is its default, here with 0 (sleep at once), what edged sets, and ten times that between them.
TURNS = (0, int(WAIT_POLICY[SPIN]), 10_000, 300_000)
PAUSES_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
PAUSES_OF_EACH = 40
BATCH = 8
CONTEXT_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Paused:
    """Pauses of one length.

    Attributes:
        cpu_s: the engine's in one pause, mean.
        cpu_s_max: in the worst one.
    """

    pause_s: float
    pauses: int
    cpu_s: float
    cpu_s_max: float


@dataclass(frozen=True, slots=True)
class Spun:
    """An engine whose threads spin for so many turns.

    Attributes:
        tokens_cpu_s: output tokens per CPU second of its steps, pauses left out.
    """

    turns: int
    tokens_cpu_s: float
    pauses: tuple[Paused, ...]


class Pauser:
    """Gives permits, and before each a pause whose CPU seconds it counts.

    Attributes:
        used_s: CPU seconds in the pauses, by their length.
        steps_s, tokens: CPU seconds between the pauses, and the output tokens of those steps.
    """

    def __init__(self, engine: ResidentEngine, pauses_s: Sequence[float]) -> None:
        self._engine = engine
        self._lengths_s = cycle(pauses_s)
        self._wish: Wish | None = None
        self._pausing: asyncio.Task[None] | None = None
        self._began_s: float | None = None
        self.used_s: dict[float, list[float]] = defaultdict(list)
        self.steps_s = 0.0
        self.tokens = 0

    def hear(self, pulse: Pulse) -> None:
        """Take a step's end, or a wish: the latest one is granted after the pause."""
        match pulse:
            case Step():
                self.tokens += pulse.decode_tokens
            case Wish() if pulse.tokens:
                self._wish = pulse
                if self._pausing is None or self._pausing.done():
                    self._pausing = asyncio.ensure_future(self._pause(next(self._lengths_s)))
            case _:
                self._wish = None

    async def _pause(self, length_s: float) -> None:
        began_s = clocked_s(self._engine.pid)
        if self._began_s is not None:
            self.steps_s += began_s - self._began_s
        await asyncio.sleep(length_s)
        self._began_s = clocked_s(self._engine.pid)
        self.used_s[length_s].append(self._began_s - began_s)
        if self._wish is not None:
            self._engine.permit(Go(self._wish.tokens, self._wish.sequences, 1))


def run(given: argparse.Namespace) -> int:
    """Measure each number of turns; print the table and return 0."""
    print(f"{LABEL}\n")
    pauses = 4 if given.quick else PAUSES_OF_EACH
    found = [asyncio.run(measured(turns, pauses)) for turns in TURNS]
    print("\n".join(table(found)))
    if given.json:
        report = {"label": LABEL, "threads": compute_threads(), "turns": [*map(asdict, found)]}
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


async def measured(turns: int, pauses: int) -> Spun:
    """Run an engine with threads that spin so long, and pause it so often at each length.

    Raises:
        EngineUnusable: it cannot serve the model.
    """
    with _environment({SPIN: str(turns)}):
        async with resident(_setting()) as engine:
            pauser = Pauser(engine, PAUSES_S)
            engine.pace(pauser.hear)
            asking = asyncio.ensure_future(_keep_busy(engine))
            while min((len(pauser.used_s[one]) for one in PAUSES_S), default=0) < pauses:
                await asyncio.sleep(0.1)
                if asking.done():
                    asking.result()
            asking.cancel()
    return _spun(turns, pauser)


def _setting() -> Setting:
    model = find_model(config.Model()).path
    return Setting(model, compute_threads(), CONTEXT_TOKENS, BATCH, BATCH * CONTEXT_TOKENS)


async def _keep_busy(engine: ResidentEngine) -> None:
    """Ask, again and again, as many as share the batch."""
    warm = next(item for item in workload.WORKLOADS if item.name == "json-warm")
    asks = workload.measured(warm, 0)

    async def one(place: int) -> None:
        for number in cycle(range(place, len(asks), BATCH)):
            await engine.answer(asks[number])

    await asyncio.gather(*map(one, range(BATCH)))


@contextmanager
def _environment(words: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that the block starts."""
    before = dict(os.environ)
    os.environ.update(words)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _spun(turns: int, pauser: Pauser) -> Spun:
    pauses = [
        Paused(length_s, len(used_s), sum(used_s) / len(used_s), max(used_s))
        for length_s, used_s in sorted(pauser.used_s.items())
    ]
    return Spun(turns, pauser.tokens / pauser.steps_s, tuple(pauses))


def table(found: Sequence[Spun]) -> list[str]:
    """Return what was found as lines of text."""
    heads = "".join(f"{1e3 * length_s:8.0f} ms" for length_s in PAUSES_S)
    lines = [f"CPU ms in a pause of      {heads}   tokens per CPU s of steps"]
    for one in found:
        cells = "".join(f"{1e3 * pause.cpu_s:11.2f}" for pause in one.pauses)
        own = " (edged)" if str(one.turns) == WAIT_POLICY[SPIN] else ""
        lines.append(f"{f'{one.turns:,} turns{own}':25} {cells} {one.tokens_cpu_s:14.1f}")
    return lines
