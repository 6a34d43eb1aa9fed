"""The processes of a run: the daemon with its engine, and the referee.

In:  a folder, a broker, what the power section of the configuration says.     Out: both, running,
until their block ends. The daemon is `edged run` as anybody starts it; it spawns its engine.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged import config
from edged.admin.client import asked
from edged.admin.wire import Ask, HoldAsk, ResumeAsk, SetBudgetAsk, StatusAsk
from edged.bench.peers import ended
from edged.bench.resident import as_toml
from edged.errors import AdminUnreachable, EdgedError

READY_S_MAX, LOOK_S = 120.0, 0.25
LOG_LINES = 5
SEQUENCES = 8


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon whose engine is ready.

    Attributes:
        settings: its configuration.
        engine_pid: the process that computes.
    """

    settings: config.Config
    engine_pid: int

    async def state(self) -> dict[str, Any]:
        """Return its state, as the contract has it."""
        answer = await asyncio.to_thread(asked, self.settings, StatusAsk())
        return answer.state or {}

    def check_engine(self) -> None:
        """See that the engine is the one that was there at the start.

        Raises:
            EdgedError: it is not: whatever was measured of that one says nothing.
        """
        if _engine_pid(self.settings.state_dir) != self.engine_pid:
            raise EdgedError("the engine ended in the middle of the run, and another one began")

    async def set_budget(self, budget_w: float) -> None:
        """Change the budget as `edged budget` does, over the admin socket."""
        await self._told(SetBudgetAsk(budget_w=budget_w))

    async def pause(self) -> None:
        """Have it start no prompt, and wait until none runs."""
        await self._told(HoldAsk(command="pause"))
        running = 1
        while running:
            running = (await self.state())["queue"]["running"]
            await asyncio.sleep(LOOK_S)

    async def resume(self) -> None:
        """Have it start prompts again."""
        await self._told(ResumeAsk())

    async def _told(self, ask: Ask) -> None:
        await asyncio.to_thread(asked, self.settings, ask)


@asynccontextmanager
async def daemon(
    folder: Path, name: str, broker: tuple[str, int], power: dict[str, Any]
) -> AsyncIterator[Daemon]:
    """Run `edged run` with a state of its own until the block ends.

    Raises:
        EdgedError: it ended, or its engine did not become ready; with the end of its log.
    """
    file, log = folder / "edged.toml", folder / "edged.log"
    file.write_text(as_toml(_tables(folder, name, broker, power)), encoding="utf-8")
    # Under systemd the daemon would wait for an engine that another unit starts.
    environment = {key: word for key, word in os.environ.items() if key != "NOTIFY_SOCKET"}
    command = [sys.executable, "-m", "edged", "run", "--config", str(file)]
    with log.open("ab") as written:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=written, stderr=written
        )
    settings = config.load(file)
    try:
        await _ready(process, settings, log)
        yield Daemon(settings, _engine_pid(folder))
    finally:
        await ended(process)


def lock_file(folder: Path) -> Path:
    """Return the file that holds the engine's pid."""
    return folder / "engine.lock"


def _engine_pid(folder: Path) -> int:
    return int(lock_file(folder).read_text())


def _tables(
    folder: Path, name: str, broker: tuple[str, int], power: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    host, port = broker
    # A client hears the answers of every board of a site.
    site, board = f"bench-{name}", f"{name}-{os.getpid()}"
    return {
        "node": {"site": site, "name": board, "state_dir": str(folder)},
        "broker": {"host": host, "port": port},
        # Few answers under way at once: tokens are counted by whole answers.
        "model": {"sequences": SEQUENCES},
        "power": power,
    }


async def _ready(process: asyncio.subprocess.Process, settings: config.Config, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_S_MAX):
            while not await _is_ready(settings):
                if process.returncode is not None:
                    raise EdgedError(f"the daemon ended with {process.returncode}: {_tail(log)}")
                await asyncio.sleep(LOOK_S)
    except TimeoutError as error:
        raise EdgedError(f"no engine was ready in {READY_S_MAX:.0f} s: {_tail(log)}") from error


async def _is_ready(settings: config.Config) -> bool:
    try:
        answer = await asyncio.to_thread(asked, settings, StatusAsk())
    except AdminUnreachable:
        return False  # it has just begun
    return answer.state is not None and answer.state["engine"]["phase"] == "ready"


def _tail(log: Path) -> str:
    return " / ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])


@asynccontextmanager
async def referee(
    truth: Path, lock: Path, full_cores: float, seed: int, tree: Path | None = None
) -> AsyncIterator[None]:
    """Run a referee until the block ends; with a tree it shows the plant's chip there.

    Raises:
        EdgedError: it did not start.
    """
    words = ["--truth", str(truth), "--lock", str(lock), "--full-cores", f"{full_cores:.6f}"]
    words += ["--seed", str(seed)]
    words += [] if tree is None else ["--tree", str(tree)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edged.bench.host.referee", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise EdgedError(f"the referee ended with {await process.wait()}; its own words above")
        yield
    finally:
        process.stdin.close()
        await process.wait()
