"""edged's own engine under the benchmark: the real process, over its socket, as the daemon asks.

In:  `Ask`s.     Out: `Answer`s.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from edged import config
from edged.bench.system import Answer, Setting
from edged.bench.workload import Ask
from edged.engine.client import EngineClient, Lost, Pulse
from edged.engine.frames import Go, Limits, Outcome, Ready, Step, Work
from edged.engine.processes import OwnProcesses
from edged.errors import EngineUnusable

# The benchmark is no daemon: nothing renews the lease while a workload runs.
LEASE_S = 24 * 3600.0


class ResidentEngine:
    """An engine process that is ready.

    Attributes:
        ready: what it said of itself.
    """

    name = "edged"
    variant = ""

    def __init__(self, client: EngineClient, ready: Ready, pid: int) -> None:
        self._client = client
        self._numbers = itertools.count()
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._limits = Limits(ready.context_tokens, ready.sequences, LEASE_S)
        self.ready = ready
        self.pid = pid
        client.send(self._limits)

    def pace(self, hear: Callable[[Pulse], None]) -> None:
        """Have each step wait for its permit from now on; `hear` is told of each wish."""
        self._client.pulse = hear
        self._client.send(replace(self._limits, is_paced=True))

    def permit(self, go: Go) -> None:
        """Let a step start."""
        self._client.send(go)

    async def answer(self, ask: Ask) -> Answer:
        """Return the answer to one prompt.

        Raises:
            EngineUnusable: it refused, or the engine went away.
        """
        id = str(next(self._numbers))
        future = asyncio.get_running_loop().create_future()
        self._waiting[id] = future
        self._client.send(work(id, ask))
        outcome = await future
        # An answer that did not end at its cap is wrong, and counted so.
        if outcome.finish == "failed" and outcome.reason != "cap":
            raise EngineUnusable(f"the engine refused a prompt: {outcome.detail}")
        return Answer(
            outcome.text,
            outcome.prompt_tokens,
            outcome.output_tokens,
            outcome.cached_tokens,
            outcome.forced_tokens,
        )

    async def listen(self) -> None:
        """Hand each outcome to whoever waits for it, until cancelled."""
        while True:
            match await self._client.events.get():
                case Step() as step:
                    for outcome in step.outcomes:
                        self._waiting.pop(outcome.id).set_result(outcome)
                case Lost(problem):
                    self._give_up(problem)

    def _give_up(self, problem: str) -> None:
        for future in self._waiting.values():
            future.set_exception(EngineUnusable(problem))
        self._waiting.clear()


def has_wire() -> bool:
    """Return whether this edged has a compact wire form."""
    return any(item.name == "wire" for item in fields(Work))


def work(id: str, ask: Ask) -> Work:
    """Return the frame that asks it."""
    frame = Work(id, ask.prompt, ask.schema, max_tokens=ask.max_tokens)
    changes: dict[str, Any] = {"wire": "compact"} if ask.form == "compact" else {}
    return replace(frame, **changes)


@asynccontextmanager
async def resident(setting: Setting) -> AsyncIterator[ResidentEngine]:
    """Run an engine process of its own until the block ends.

    Raises:
        EngineUnusable: it cannot serve the model.
    """
    with tempfile.TemporaryDirectory(prefix="edged-bench-") as folder:
        settings, file = configured(setting, Path(folder))
        processes = OwnProcesses(settings, file, is_tied=True)
        client = EngineClient(settings, file, processes=processes)
        life = asyncio.ensure_future(client.run())
        listening: asyncio.Future[None] | None = None
        try:
            engine = ResidentEngine(client, await _ready(client), client.state.pid or 0)
            listening = asyncio.ensure_future(engine.listen())
            yield engine
        finally:
            ending = [life] if listening is None else [life, listening]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)


def configured(setting: Setting, folder: Path) -> tuple[config.Config, Path]:
    """Return the configuration of this setting, and its file for the process."""
    tables: dict[str, dict[str, Any]] = {
        "node": {"state_dir": str(folder)},
        "model": {
            "path": str(setting.model.absolute()),
            "context_tokens": setting.context_tokens,
            "sequences": setting.sequences,
            "threads": setting.threads,
        },
        "engine": {"kv_tokens": setting.kv_tokens},
    }
    path = folder / "edged.toml"
    path.write_text(as_toml(tables), encoding="utf-8")
    return config.load(path), path


def as_toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return tables as a configuration file."""
    lines = [
        line
        for name, keys in tables.items()
        # A TOML string, integer or float is written as JSON writes it.
        for line in (f"[{name}]", *(f"{key} = {json.dumps(keys[key])}" for key in keys))
    ]
    return "\n".join(lines) + "\n"


async def _ready(client: EngineClient) -> Ready:
    while True:
        match await client.events.get():
            case Ready() as ready:
                return ready
            case Lost(problem):
                raise EngineUnusable(problem)
