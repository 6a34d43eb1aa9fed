"""The daemon's side of the engine: finds or starts the process, speaks frames, notices its end.

In:  frames from dispatch and admission.     Out: `Ready`, `Step`, `Held`, `Lost` events, in order.
Uses an engine that listens on the socket already; else, outside systemd, spawns one. That process
outlives a killed daemon, and the next daemon takes it over. One that hangs is killed; one that does
not end then is never replaced: two on one NPU can stop the kernel.
Does not know: rows, MQTT, watts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from edged.config import Config
from edged.engine.frames import (
    FRAME_BYTES_MAX,
    Broken,
    Held,
    Hello,
    Loading,
    Measured,
    Prompt,
    Ready,
    Step,
    ToEngine,
    Wire,
    Wish,
    encode,
)
from edged.engine.measures import Measures
from edged.engine.patience import REST_S, Patience, Restarts
from edged.engine.processes import KILL_S_MAX, UNENDING, OwnProcesses, Processes, end
from edged.engine.protocol import PROTOCOL_VERSION, restart_needed, speaks
from edged.engine.state import EngineState, Phase
from edged.engine.stream import ended, ids_of, read_frame
from edged.errors import EngineLost
from edged.journal import Event, about

log = logging.getLogger(__name__)

BACKOFF_S_MIN, BACKOFF_S_MAX = 0.5, 30.0
# A socket that is not there cannot be waited for; the wait grows, so that a board whose engine
# unit is stopped wakes every 5 s.
SPAWN_POLL_S, SPAWN_POLL_S_MAX, SPAWN_POLL_GROWTH = 0.05, 5.0, 1.2
# An engine says Hello as soon as it is asked, whatever it loads or computes.
HELLO_S_MAX = 10.0
# An engine that left so much unread is asked nothing more that it need not answer.
UNREAD_BYTES_MAX = 2**20
# Where systemd starts the engine: so long nobody may listen before prompts are refused.
ABSENT_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Lost:
    """The engine went away; what ran must be queued again."""

    problem: str


# What the governor of the power budget hears, at once: steps as they end, wishes for the next.
Pulse = Ready | Step | Wish | Lost


def _unheard(pulse: Pulse) -> None:
    """Leave a pulse: nobody holds a budget."""


class EngineClient:
    """One engine process, over any number of its lives.

    Args:
        config: the daemon's configuration.
        config_path: its file, handed to a spawned engine; None: the defaults.
        clock: seconds that only go forward.
        processes: starts and ends engines; None: this machine's.

    Attributes:
        pulse: called with each `Pulse` as it arrives, before `events` has it.
        decode_s: seconds of all steps so far in which nothing was prefilled.
        is_id: whether an engine can have been given this id; one that names others writes nonsense.
    """

    def __init__(
        self,
        config: Config,
        config_path: Path | None,
        clock: Callable[[], float] = time.monotonic,
        processes: Processes | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._processes = processes or OwnProcesses(config, config_path)
        self._patience = Patience(config.engine)
        self._restarts = Restarts()
        self._ready_s: float | None = None
        self._killed_s: float | None = None
        self._stuck_pid: int | None = None
        self._stuck_problem = ""
        self._writer: asyncio.StreamWriter | None = None
        self._is_spawned = False
        self._measures = Measures()
        self._in_flight: set[str] = set()
        self._heard_s = clock()
        self._is_held = False
        self.life = 0
        self.decode_s = 0.0
        self.pulse: Callable[[Pulse], None] = _unheard
        self.is_id: Callable[[str], bool] = bool
        self.events: asyncio.Queue[Ready | Step | Held | Lost] = asyncio.Queue()
        self.state = EngineState()
        self.changed = asyncio.Event()

    @property
    def ends_with_us(self) -> bool:
        """Return whether the engine is one that a daemon spawned, and ends with this one."""
        return self._is_spawned

    @property
    def unread_bytes(self) -> int:
        """Return what was sent and lies here still: the engine does not read."""
        return 0 if self._writer is None else self._writer.transport.get_write_buffer_size()

    async def run(self) -> None:
        """Keep an engine connected until cancelled; then end it if a daemon spawned it."""
        backoff_s = BACKOFF_S_MIN
        try:
            while True:
                problem = await self._life()
                if self.state.phase == "ready":
                    backoff_s = BACKOFF_S_MIN
                log.warning("engine lost: %s", problem, extra=about(Event.ENGINE_LOST))
                self._forget(problem)
                await self._until_gone()
                if self._restarts.are_spent:
                    backoff_s = BACKOFF_S_MAX
                await asyncio.sleep(backoff_s)
                backoff_s = min(BACKOFF_S_MAX, backoff_s * 2)
        finally:
            await self._end_spawned()

    def send(self, *frames: ToEngine) -> None:
        """Send frames; without an engine they are dropped, and `Lost` tells."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(b"".join(map(encode, frames)))

    def expect(self, id: str) -> None:
        """From now on the engine works on `id`; its silence is a hang."""
        if not self._in_flight:
            now_s = self._clock()
            if now_s - self._heard_s > REST_S:
                self._patience.forget()
            self._heard_s = now_s
        self._in_flight.add(id)

    async def measure(
        self, asks: Sequence[tuple[Prompt, str | None, Wire]], wait_s: float
    ) -> list[Measured | None]:
        """Return what each prompt would take; None where the engine does not say in time.

        Args:
            asks: prompt, schema, and the form that the model writes it in.
            wait_s: for all of them together.
        """
        if self.state.phase != "ready" or not asks or self.unread_bytes > UNREAD_BYTES_MAX:
            return [None] * len(asks)
        with self._measures.asked(asks) as (frames, measuring):
            self.send(*frames)
            return await measuring.told(wait_s)

    def renew(self) -> None:
        """Have the engine begin anew, and load what is to be loaded then."""
        if self.state.pid is not None:
            self._processes.renew(self.state.pid)

    def excuse(self, silence_s: float = math.inf) -> None:
        """Take so much of the engine's silence for ours: the budget makes it wait, or we slept."""
        self._heard_s = min(self._clock(), self._heard_s + silence_s)

    def end_hung(self) -> None:
        """Kill an engine that is silent for too long with prompts in its batch.

        Without those prompts goes on who waited in vain for its end.
        """
        pid, now_s = self.state.pid, self._clock()
        if pid is None:
            return
        if self._killed_s is not None:
            if now_s - self._killed_s > KILL_S_MAX:
                self._let_go(pid, UNENDING)
        elif self._in_flight and now_s - self._heard_s > self._patience.limit_s:
            log.error("engine %d: no step for %.1f s; killed", pid, now_s - self._heard_s)
            self._kill(pid)

    def _kill(self, pid: int) -> None:
        self._killed_s = self._clock()
        refusal = self._processes.kill(pid)
        if refusal:
            self._let_go(pid, refusal)

    def _let_go(self, pid: int, why: str) -> None:
        """Serve nobody with an engine that can neither work nor end, and start no other."""
        problem = f"engine {pid} hangs, and {why}; end it, or switch the board off and on"
        log.error("%s", problem)
        self._stuck_pid, self._stuck_problem = pid, problem
        self._become(replace(self.state, phase="broken", problem=problem))
        if self._writer is not None:
            self._writer.transport.abort()

    async def _until_gone(self) -> None:
        """Wait for the end of an engine that could not be ended: there is one engine at a time."""
        if self._stuck_pid is not None:
            await self._processes.gone(self._stuck_pid)
        self._stuck_pid, self._stuck_problem = None, ""

    async def _life(self) -> str:
        """Serve one connection; return why it ended."""
        try:
            reader = await self._connect()
            hello = await self._hello(reader)
            if not speaks(hello.version, PROTOCOL_VERSION):
                await self._until_restarted(hello, reader)
            self._greet(hello)
            while True:
                self._take(await read_frame(reader))
        except EngineLost as lost:
            return self._stuck_problem or str(lost)

    async def _hello(self, reader: asyncio.StreamReader) -> Hello:
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                frame = await read_frame(reader)
        except TimeoutError as error:
            pid = self._peer_pid()
            self._kill(pid)
            if self._stuck_pid is None and not await self._ends(pid):
                self._let_go(pid, UNENDING)
            problem = f"engine {pid} takes the connection and says nothing"
            raise EngineLost(problem) from error
        if not isinstance(frame, Hello):
            raise EngineLost(f"the engine began with {frame.kind}, not with hello")
        return replace(frame, pid=self._peer_pid() or frame.pid)

    async def _until_restarted(self, hello: Hello, reader: asyncio.StreamReader) -> NoReturn:
        """Leave the engine alone, say so, and hear its end: nothing else tells of a restart."""
        has_units = not self._processes.starts
        problem = restart_needed(hello.version, PROTOCOL_VERSION, hello.pid, has_units=has_units)
        log.error("%s", problem)
        self._is_spawned = hello.spawned
        self._become(
            replace(self.state, phase="engine_restart_needed", problem=problem, pid=hello.pid)
        )
        await ended(reader)
        raise EngineLost("the engine that was to be restarted has ended")

    def _greet(self, hello: Hello) -> None:
        """Answer in the version that both speak."""
        self.send(Hello(min(hello.version, PROTOCOL_VERSION), os.getpid()))
        self._is_spawned = hello.spawned
        self._become(self.state.greeted(hello))

    async def _ends(self, pid: int) -> bool:
        return await self._processes.ended(pid, signal.SIGKILL, KILL_S_MAX)

    def _peer_pid(self) -> int:
        assert self._writer is not None, "there is a connection"
        return self._processes.listener(self._writer.get_extra_info("socket"))

    async def _connect(self) -> asyncio.StreamReader:
        reader = await self._try_connect()
        if reader is None and self.state.phase == "starting":
            waits = f"no engine listens on {self._config.engine_socket}"
            self._become(replace(self.state, problem=self.state.problem or waits))
        if reader is None and self._processes.starts:
            await self._processes.start()
        pause_s, began_s = SPAWN_POLL_S, self._clock()
        while reader is None:
            if self._processes.exit_code is not None:
                raise EngineLost(
                    f"the engine process ended with exit {self._processes.exit_code}; its own "
                    "message stands above"
                )
            if self.state.phase == "starting" and self._clock() - began_s > ABSENT_S_MAX:
                absent = f"{self.state.problem} for {ABSENT_S_MAX:.0f} s: see the engine's log"
                self._become(replace(self.state, phase="broken", problem=absent))
            await asyncio.sleep(pause_s)
            pause_s = min(SPAWN_POLL_S_MAX, pause_s * SPAWN_POLL_GROWTH)
            reader = await self._try_connect()
        return reader

    async def _try_connect(self) -> asyncio.StreamReader | None:
        try:
            reader, self._writer = await asyncio.open_unix_connection(
                self._config.engine_socket, limit=FRAME_BYTES_MAX
            )
        except OSError:
            return None
        self._heard_s = self._clock()
        return reader

    def _take(self, frame: object) -> None:
        if not isinstance(frame, Measured):  # the preparing thread counts beside a hung step
            self._heard_s = self._clock()
        match frame:
            case Loading(progress):
                self._become(self.state.loading(progress))
            case Ready():
                self._become(self.state.serving(frame))
                self._ready_s = self._clock()
                self.pulse(frame)
                self.events.put_nowait(frame)
            case Broken(detail):
                self._become(replace(self.state, phase="broken", problem=detail))
                raise EngineLost(detail)
            case Measured():
                self._measures.take(frame)
            case Step():
                if not all(map(self.is_id, ids_of(frame))):
                    raise EngineLost("the engine names prompts that it cannot have been given")
                self._is_held = False
                self._patience.stepped(frame.step_s)
                if frame.outcomes:
                    # Now, and not when it is stored: a full disk is no hang of the engine.
                    self._in_flight.difference_update(outcome.id for outcome in frame.outcomes)
                    self._restarts.answered()
                self.decode_s += frame.step_s if frame.only_decodes else 0.0
                self.state = replace(self.state, npu_matmuls=frame.npu_matmuls)
                self.pulse(frame)
                self.events.put_nowait(frame)
            case Held(sequences):
                if not self._is_held:
                    log.warning(
                        "engine: the limits in force keep out all its %d prompts", sequences
                    )
                self._is_held = True
                self.events.put_nowait(frame)
            case Wish():
                self.pulse(frame)

    def _forget(self, problem: str) -> None:
        """Tell dispatch that the engine is gone; an engine that called itself broken stays so."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._in_flight.clear()
        self._patience.forget()
        self._killed_s = None
        problem = self._counted(problem)
        self.life += 1
        is_broken = self.state.phase == "broken" or self._restarts.are_spent
        phase: Phase = "broken" if is_broken else "starting"
        self._become(EngineState(phase=phase, problem=problem, ready=self.state.ready))
        lost = Lost(problem)
        self.pulse(lost)
        self.events.put_nowait(lost)

    def _counted(self, problem: str) -> str:
        """Count an end; return what is to be said of it."""
        served_s = 0.0 if self._ready_s is None else self._clock() - self._ready_s
        self._ready_s = None
        self._restarts.ended(served_s)
        if not self._restarts.are_spent:
            return problem
        often = f"the engine ended {self._restarts.in_a_row} times and answered nothing"
        return f"{often}: {problem}; it is tried again every {BACKOFF_S_MAX:.0f} s"

    def _become(self, state: EngineState) -> None:
        self.state = state
        self.changed.set()

    async def _end_spawned(self) -> None:
        """SIGTERM to the engines that end with us, then wait for their end."""
        if self._writer is not None:
            self._writer.close()
        await asyncio.gather(*(end(self._processes, pid) for pid in self._spawned()))

    def _spawned(self) -> list[int]:
        """Return the engine that we started, which may not have come up, and the one we speak to.

        Two where the engine of a killed daemon answered first: ours would serve on behind its end.
        """
        pids = dict.fromkeys(
            [self._processes.own_pid, self.state.pid if self._is_spawned else None]
        )
        return [pid for pid in pids if pid is not None and pid != self._stuck_pid]
