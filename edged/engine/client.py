"""The daemon's side of the engine: finds or starts the process, speaks frames, notices its end.

In:  frames from dispatch and admission.     Out: `Ready`, `Step`, `Held`, `Lost` events, in order.
Uses an engine that listens on the socket already; else, outside systemd, spawns one. That process
outlives a killed daemon, and the next daemon takes it over.
Does not know: rows, MQTT, watts.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edged.config import Config
from edged.engine.frames import (
    FRAME_BYTES_MAX,
    PROTOCOL_VERSION,
    Broken,
    Held,
    Hello,
    Loading,
    Measure,
    Measured,
    Prompt,
    Ready,
    Step,
    ToEngine,
    Wire,
    Wish,
    encode,
)
from edged.engine.stream import read_frame
from edged.errors import EngineLost
from edged.journal import Event, about

log = logging.getLogger(__name__)

BACKOFF_S_MIN, BACKOFF_S_MAX = 0.5, 30.0
# A socket that is not there cannot be waited for; the wait grows, so that a board whose engine
# unit is stopped wakes every 5 s.
SPAWN_POLL_S, SPAWN_POLL_S_MAX, SPAWN_POLL_GROWTH = 0.05, 5.0, 1.2
END_S_MAX = 10.0
# Nothing from the step thread for so long while prompts are in the batch: the step hangs. Ten times
# the longest step that the configuration allows. Where nothing may run, it says so as often as it
# is told the limits.
HANG_STEPS, HANG_S_MIN = 10, 30.0


@dataclass(frozen=True, slots=True)
class Lost:
    """The engine went away; what ran must be queued again."""

    problem: str


# What the governor of the power budget hears, at once: steps as they end, wishes for the next.
Pulse = Ready | Step | Wish | Lost


def _unheard(pulse: Pulse) -> None:
    """Leave a pulse: nobody holds a budget."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the daemon knows of the engine.

    Attributes:
        phase: `starting`, `loading`, `ready`, or `broken` (it said that it cannot serve).
        progress: of the load, 0..1.
        problem: why it is not ready, in words a person can act on.
        npu_matmuls: what the NPU under llama.cpp has executed since the load; None without one.
    """

    phase: str = "starting"
    progress: float = 0.0
    problem: str = ""
    ready: Ready | None = None
    pid: int | None = None
    npu_matmuls: int | None = None


class EngineClient:
    """One engine process, over any number of its lives.

    Args:
        config: the daemon's configuration.
        config_path: its file, handed to a spawned engine; None: the defaults.
        clock: seconds that only go forward.

    Attributes:
        pulse: called with each `Pulse` as it arrives, before `events` has it.
    """

    def __init__(
        self,
        config: Config,
        config_path: Path | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._config_path = config_path
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._is_spawned = False
        self._measures: dict[str, asyncio.Future[Measured]] = {}
        self._names = itertools.count()
        self._in_flight: set[str] = set()
        self._heard_s = clock()
        self._is_held = False
        self.life = 0
        self.pulse: Callable[[Pulse], None] = _unheard
        self.events: asyncio.Queue[Ready | Step | Held | Lost] = asyncio.Queue()
        self.state = EngineState()
        self.changed = asyncio.Event()

    @property
    def ends_with_us(self) -> bool:
        """Return whether the engine is one that a daemon spawned, and ends with this one."""
        return self._is_spawned

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
                await asyncio.sleep(backoff_s)
                backoff_s = min(BACKOFF_S_MAX, backoff_s * 2)
        finally:
            await self._end_spawned()

    def send(self, frame: ToEngine) -> None:
        """Send a frame; without an engine it is dropped, and `Lost` tells."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(frame))

    def expect(self, id: str) -> None:
        """From now on the engine works on `id`; its silence is a hang."""
        if not self._in_flight:
            self._heard_s = self._clock()
        self._in_flight.add(id)

    def settle(self, id: str) -> None:
        """The engine is done with `id`."""
        self._in_flight.discard(id)

    async def measure(
        self, prompt: Prompt, schema: str | None, wire: Wire, wait_s: float
    ) -> Measured | None:
        """Return what a prompt would take; None if the engine does not say within `wait_s`."""
        if self.state.phase != "ready":
            return None
        name = str(next(self._names))
        future: asyncio.Future[Measured] = asyncio.get_running_loop().create_future()
        self._measures[name] = future
        self.send(Measure(name, prompt, schema, wire))
        try:
            async with asyncio.timeout(wait_s):
                return await future
        except TimeoutError:
            return None
        finally:
            self._measures.pop(name, None)

    def excuse(self) -> None:
        """Take the engine's silence for ours: the power budget makes it wait."""
        self._heard_s = self._clock()

    def end_hung(self) -> None:
        """Kill an engine that has been silent for too long with prompts in its batch."""
        limit_s = max(HANG_S_MIN, HANG_STEPS * self._config.engine.step_s_max)
        silent_s = self._clock() - self._heard_s
        if self._in_flight and silent_s > limit_s and self.state.pid is not None:
            log.error("engine %d: no step for %.0f s; killed", self.state.pid, silent_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.state.pid, signal.SIGKILL)

    async def _life(self) -> str:
        """Serve one connection; return why it ended."""
        try:
            reader = await self._connect()
            while True:
                self._take(await read_frame(reader))
        except EngineLost as lost:
            return self.state.problem or str(lost)

    async def _connect(self) -> asyncio.StreamReader:
        reader = await self._try_connect()
        if reader is None and self.state.phase == "starting":
            waits = f"no engine listens on {self._config.engine_socket}"
            self._become(replace(self.state, problem=self.state.problem or waits))
        if reader is None and "NOTIFY_SOCKET" not in os.environ:
            await self._spawn()
        pause_s = SPAWN_POLL_S
        while reader is None:
            if self._process is not None and self._process.returncode is not None:
                raise EngineLost(
                    f"the engine process ended with exit {self._process.returncode}; its own "
                    "message stands above"
                )
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
        self.send(Hello(PROTOCOL_VERSION, os.getpid()))
        return reader

    async def _spawn(self) -> None:
        """Start the engine in a session of its own: a signal to the daemon's group spares it."""
        if self._process is not None and self._process.returncode is None:
            return
        command = [sys.executable, "-m", "edged", "engine", "--spawned"]
        command += ["--state-dir", str(self._config.state_dir)]
        command += ["--socket", str(self._config.engine_socket)]
        if self._config_path is not None:
            command += ["--config", str(self._config_path)]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )

    def _take(self, frame: object) -> None:
        if not isinstance(frame, Measured):  # the intake thread counts tokens beside a hung step
            self._heard_s = self._clock()
        match frame:
            case Hello(version) if version != PROTOCOL_VERSION:
                raise EngineLost(f"it speaks protocol {version}, this daemon {PROTOCOL_VERSION}")
            case Hello():
                self._is_spawned = frame.spawned
                problem = self.state.problem if self.state.phase == "broken" else ""
                phase = self._loading()
                self._become(replace(self.state, phase=phase, pid=frame.pid, problem=problem))
            case Loading(progress):
                self._become(replace(self.state, phase=self._loading(), progress=progress))
            case Ready():
                matmuls = None if frame.npu is None else frame.npu.matmuls
                ready = replace(self.state, phase="ready", progress=1.0, ready=frame, problem="")
                self._become(replace(ready, npu_matmuls=matmuls))
                self.pulse(frame)
                self.events.put_nowait(frame)
            case Broken(detail):
                self._become(replace(self.state, phase="broken", problem=detail))
                raise EngineLost(detail)
            case Measured():
                future = self._measures.get(frame.id)
                if future is not None and not future.done():
                    future.set_result(frame)
            case Step():
                self._is_held = False
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

    def _loading(self) -> str:
        """Return the phase of a load: an engine that was broken stays so until it is ready."""
        return "broken" if self.state.phase == "broken" else "loading"

    def _forget(self, problem: str) -> None:
        """Tell dispatch that the engine is gone; an engine that called itself broken stays so."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._in_flight.clear()
        self.life += 1
        phase = "broken" if self.state.phase == "broken" else "starting"
        self._become(EngineState(phase=phase, problem=problem, ready=self.state.ready))
        lost = Lost(problem)
        self.pulse(lost)
        self.events.put_nowait(lost)

    def _become(self, state: EngineState) -> None:
        self.state = state
        self.changed.set()

    async def _end_spawned(self) -> None:
        """SIGTERM to an engine that some daemon spawned, then wait for its end."""
        if self._writer is not None:
            self._writer.close()
        pid = self.state.pid
        if pid is None and self._process is not None and self._process.returncode is None:
            pid = self._process.pid
        elif not self._is_spawned:
            return
        if pid is not None and not await _ended(pid, signal.SIGTERM, END_S_MAX):
            log.error("engine %d did not end within %.0f s; killed", pid, END_S_MAX)
            await _ended(pid, signal.SIGKILL, END_S_MAX)
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S_MAX):
                    await self._process.wait()  # reaped while the loop lives


async def _ended(pid: int, number: signal.Signals, wait_s: float) -> bool:
    """Send a signal; return whether the process ended within `wait_s`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    try:
        # The handle names this process for good: its number cannot be another's by now.
        signal.pidfd_send_signal(handle, number)
        loop.add_reader(handle, over.set)
        async with asyncio.timeout(wait_s):
            await over.wait()
    except ProcessLookupError:
        return True
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    return True
