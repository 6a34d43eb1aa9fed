"""Engine processes that are none: the real step loop and backend `sim`, as tasks of one loop.

In:  frames of the daemon on the real socket.     Out: frames, after a step's virtual seconds.
An engine can crash, hang in a step, freeze altogether, talk nonsense, or be one that nothing ends.
A prompt with a word of `DEADLY` in it ends or hangs the step that it takes part in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from edged.config import Config
from edged.engine.frames import (
    Broken,
    Cancel,
    Frame,
    Go,
    Hello,
    Limits,
    Measure,
    Measured,
    Outcome,
    Prompt,
    Ready,
    Step,
    Wish,
    Work,
    encode,
)
from edged.engine.inbox import Attached, Detached, Inbox
from edged.engine.protocol import PROTOCOL_VERSION, Foreign
from edged.engine.stream import read_frame
from edged.errors import EngineLost, Refusal
from tools.simulation.computed import Computed
from tools.simulation.health import Health

LOAD_S = 0.4
CRASHES, HANGS = "crash-the-engine", "hang-the-engine"
DEADLY = (CRASHES, HANGS)
NONSENSE = b"\x00\x00\x00\x05hello"
GARBLED = '{"not": the answer'


class Watcher(Protocol):
    """Hears what an engine does, at the moment when it does."""

    @property
    def health(self) -> Health:
        """Return the books on engines."""

    def given(self, work: Work, others: Collection[str]) -> None:
        """Work arrives, while others are in the batch."""

    def stepping(self, ids: Iterable[str]) -> None:
        """A step of these sequences begins."""

    def told(self, outcome: Outcome) -> None:
        """An outcome is told."""

    def ended(self, ids: Iterable[str]) -> None:
        """The engine, or its connection, ends with these in its batch."""

    def killed_in_health(self) -> None:
        """An engine that neither hangs nor stands still, and never did, is killed."""


class NearEngine:
    """One engine process.

    Attributes:
        garbles: so many of its next answers are nonsense.
        has_failed: whether it ever hung or stood still.
        idle_since_s: when it last had no work any more.
        is_doomed: whether SIGKILL waits for a driver to let it go: till then it does nothing.
    """

    def __init__(self, config: Config, pid: int, computed: Computed, watcher: Watcher) -> None:
        self.pid = pid
        # Frozen, it says and does nothing, and the kernel takes its connections.
        self._goes_on = asyncio.Event()
        # Hung, its steps do not come back; its intake still answers.
        self._steps_on = asyncio.Event()
        self._goes_on.set()
        self._steps_on.set()
        self.garbles = 0
        self.has_failed = self.is_doomed = False
        self.idle_since_s = computed.now_s()
        self.has_ended = asyncio.Event()
        self._config = config
        self._computed = computed
        self._watcher = watcher
        self._inbox, self._mail = Inbox(), asyncio.Event()
        self._batch: dict[str, Work] = {}
        self._held: list[Frame] = []
        self._writer: asyncio.StreamWriter | None = None
        self._life: asyncio.Task[None] | None = None
        self._is_loaded = self._listens = self._is_greeted = False

    def start(self) -> None:
        """Listen at once, load, serve."""
        self._life = asyncio.ensure_future(self._run())

    def end(self) -> None:
        """End as a killed process does: all at once."""
        if self.has_ended.is_set():
            return
        self.has_ended.set()
        self._watcher.ended(list(self._batch))
        self._watcher.health.ended(self)
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = None
        self._goes_on.set()  # for those who wait: they find that nobody is there
        self._config.engine_socket.unlink(missing_ok=True)
        if self._life is not None:
            self._life.cancel()

    def hang_up(self) -> None:
        """The daemon is gone; what it asked for is nobody's any more."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = None
        self._inbox.put(Detached(), self._computed.now_s())
        self._watcher.ended(list(self._batch))
        self._batch.clear()
        self._held.clear()
        self._mail.set()
        self._changed()

    def _changed(self) -> None:
        if not self._batch:
            self.idle_since_s = self._computed.now_s()
        self._watcher.health.changed(self)

    @property
    def serves(self) -> bool:
        """Return whether it is loaded, healthy, and connected to the daemon."""
        is_there = self._is_loaded and self._writer is not None
        return is_there and not (self.is_sick or self.has_ended.is_set())

    @property
    def listens(self) -> bool:
        """Return whether a daemon can connect to it."""
        return self._listens

    @property
    def holds(self) -> frozenset[str]:
        """Return what it is to work on."""
        return frozenset(self._batch)

    @property
    def is_sick(self) -> bool:
        """Return whether it needs somebody to end it."""
        return not (self._goes_on.is_set() and self._steps_on.is_set())

    @property
    def is_frozen(self) -> bool:
        """Return whether it stands still as a whole."""
        return not self._goes_on.is_set()

    def hang(self) -> None:
        """Let no step come back any more."""
        self.has_failed = True
        self._steps_on.clear()
        self._changed()

    def freeze(self) -> None:
        """Stand still, as a process that is stopped."""
        self.has_failed = True
        self._goes_on.clear()
        self._changed()

    def thaw(self) -> None:
        """Go on."""
        self._goes_on.set()
        self._changed()
        held, self._held = self._held, []
        for frame in held:
            self._take(frame)

    def fail_canary(self) -> None:
        """Find that the model computes nonsense, say so and end, as the real process does."""
        self._say(Broken("the model answers its test prompt with nothing"))
        asyncio.get_running_loop().call_soon(self.end)

    def babble(self) -> None:
        """Write what is no frame."""
        if self._writer is not None and not self.is_doomed:
            self._writer.write(NONSENSE)

    async def _run(self) -> None:
        path = self._config.engine_socket
        path.unlink(missing_ok=True)
        async with await asyncio.start_unix_server(self._serve, path):
            self._listens = True
            await asyncio.sleep(LOAD_S)
            self._is_loaded = True
            if self._is_greeted:
                self._say(self._ready())
            self._changed()
            await self._step_for_ever()

    def _ready(self) -> Ready:
        model = self._config.model
        return Ready("sim", "sha256:0", "sim", model.context_tokens, model.sequences, LOAD_S)

    def _say(self, frame: Frame) -> None:
        if self._writer is None:
            return
        self._writer.write(encode(frame))
        if isinstance(frame, Step):
            health = self._watcher.health
            health.stepped(self, frame.step_s, has_answered=bool(frame.outcomes))
        elif self.has_ended.is_set():
            return
        elif isinstance(frame, Wish):
            self._watcher.health.wished(self)
        elif not isinstance(frame, Measured):
            self._watcher.health.spoke(self)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.has_ended.is_set():  # in the moment between the connection and this
            writer.transport.abort()
            return
        if self._writer is not None:
            self.hang_up()
        self._writer, self._is_greeted, now_s = writer, False, self._computed.now_s()
        self._inbox.put(Attached(self._computed.outlet), now_s)
        self._watcher.health.reached(self)
        await self._goes_on.wait()
        if self._writer is not writer:
            return
        self._say(Hello(PROTOCOL_VERSION, self.pid, spawned=True))
        self._is_greeted = True
        if self._is_loaded:
            self._say(self._ready())
        self._watcher.health.connected(self)
        with suppress(EngineLost):
            while True:
                frame = await read_frame(reader)
                if self._writer is not writer:
                    return
                if not isinstance(frame, Foreign):
                    self._hear(frame)
        if self._writer is writer:
            self._watcher.health.let_go(self)
            self.hang_up()

    def _hear(self, frame: Frame) -> None:
        """Let a frame arrive; while the engine is frozen it waits in the socket."""
        if isinstance(frame, Work):
            if not self._batch:
                self._watcher.health.works(self)
            self._watcher.given(frame, self._batch)
            self._batch[frame.id] = frame
        if isinstance(frame, Go):
            self._watcher.health.permitted(self)
        if self.is_frozen:
            self._held.append(frame)
        else:
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        now_s = self._computed.now_s()
        match frame:
            case Measure() if self._is_loaded:
                self._say(self._computed.preparer.measured(frame))
            case Work():
                self._begin(frame, now_s)
            case Cancel() | Limits() | Go():
                self._inbox.put(frame, now_s)
        self._mail.set()

    def _begin(self, work: Work, now_s: float) -> None:
        try:
            self._inbox.put(self._computed.preparer.sequence(work, now_s), now_s)
        except Refusal as refusal:
            failed = Outcome(work.id, "failed", reason=refusal.reason, detail=refusal.detail)
            self._inbox.put(failed, now_s)

    async def _step_for_ever(self) -> None:
        computed = self._computed
        while True:
            self._mail.clear()
            is_busy = computed.worker.turn(self._inbox.take(block=False) or [])
            frames = computed.outlet.taken()
            self._watcher.stepping(id for frame in frames for id in _shares(frame))
            await asyncio.sleep(computed.took_s())
            self._meet_fate(frames)
            await self._steps_on.wait()
            await self._goes_on.wait()
            for frame in frames:
                self._say(self._told(frame))
            if not is_busy:
                await self._mail.wait()

    def _meet_fate(self, frames: Iterable[Frame]) -> None:
        """End or hang with the prompt that does that."""
        for id in (id for frame in frames for id in _shares(frame)):
            text = _text(self._batch[id].prompt) if id in self._batch else ""
            if CRASHES in text:
                self.end()
            if HANGS in text:
                self.hang()

    def _told(self, frame: Frame) -> Frame:
        if not isinstance(frame, Step):
            return frame
        outcomes = tuple(map(self._garbled, frame.outcomes))
        for outcome in outcomes:
            self._watcher.told(outcome)
            self._batch.pop(outcome.id, None)
        if outcomes:
            self._changed()
        # The machine's own seconds would differ from one run to the next.
        return replace(frame, cpu_s=frame.step_s, outcomes=outcomes)

    def _garbled(self, outcome: Outcome) -> Outcome:
        if not self.garbles or outcome.finish != "schema":
            return outcome
        self.garbles -= 1
        return replace(outcome, text=GARBLED)


def _text(prompt: Prompt) -> str:
    return prompt.payload + "".join(message.content for message in prompt.messages)


def _shares(frame: Frame) -> Iterable[str]:
    return frame.shares if isinstance(frame, Step) else ()
