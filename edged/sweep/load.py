"""Keeps the engine at one phase, and notes its steps.

In:  the engine's client.     Out: `Stepped`, one for each step.
Prefill alone: long prompts whose answer is one token. Decode alone: short prompts for long answers,
as many as the forecast's ladder is made for. The engine asks for no permits meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable

from edged import config
from edged.engine.client import EngineClient, Lost
from edged.engine.frames import Cancel, Limits, Outcome, Prompt, Ready, Step, Work
from edged.errors import EngineUnusable
from edged.power.choice import LADDER_SEQUENCES
from edged.power.forecast import Phase
from edged.sweep.sight import Stepped

# While a sweep runs the engine must not pause for want of a daemon's word.
LEASE_S = 3600.0
# One prompt is prefilled, the next one waits: the engine never runs dry.
PREFILL_WAITING = 2
# Of the context, so that a byte may be a token; longer ones show nothing more.
PROMPT_SHARE, ANSWER_SHARE = 0.75, 0.125
PROMPT_CHARS_MAX, ANSWER_CHARS_MAX = 4096, 512
END_S_MAX = 30.0


class Load:
    """The work of one engine.

    Args:
        engine: connected by its own `run`.
        config: the context, the batch, the chunk.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        engine: EngineClient,
        config: config.Config,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._config = config
        self._clock = clock
        self._numbers = itertools.count()
        self._phase: Phase | None = None
        self._under_way: set[str] = set()
        self._steps: list[Stepped] = []
        self._ended_s: float | None = None
        self._rests = asyncio.Event()

    async def ready(self) -> Ready:
        """Wait for the model, and let steps run without permits.

        Raises:
            EngineUnusable: there will be none.
        """
        while True:
            match await self._engine.events.get():
                case Ready() as ready:
                    chunk = self._config.engine.chunk_tokens
                    limits = (ready.context_tokens, ready.sequences, LEASE_S, chunk)
                    self._engine.send(Limits(*limits))
                    return ready
                case Lost(problem):
                    raise EngineUnusable(problem)

    async def run(self) -> None:
        """Take steps until cancelled.

        Raises:
            EngineUnusable: the engine went away, or does not answer what it is asked.
        """
        try:
            while True:
                match await self._engine.events.get():
                    case Step() as step:
                        self._take(step)
                    case Lost(problem):
                        raise EngineUnusable(problem)
        finally:
            self._under_way.clear()  # nobody hears how they end
            self._rests.set()

    def begin(self, phase: Phase) -> None:
        """Have such steps follow each other from now on."""
        self._phase = phase
        self._top_up()

    def forget(self) -> None:
        """Note only steps that begin from now on."""
        self._steps.clear()
        self._ended_s = None

    def steps(self) -> list[Stepped]:
        """Return the steps since `forget`."""
        return list(self._steps)

    async def end(self) -> None:
        """Have the engine rest; return when it does.

        Raises:
            EngineUnusable: it does not stop.
        """
        self._phase = None
        self._rests.clear()
        for id in self._under_way:
            self._engine.send(Cancel(id))
        try:
            async with asyncio.timeout(END_S_MAX):
                while self._under_way:
                    await self._rests.wait()
        except TimeoutError as error:
            says = f"the engine did not stop within {END_S_MAX:.0f} s; look at its log"
            raise EngineUnusable(says) from error

    def _take(self, step: Step) -> None:
        now_s = self._clock()
        if self._ended_s is not None and (step.prefill_tokens or step.decode_tokens):
            length_s = now_s - self._ended_s
            self._steps.append(Stepped(length_s, step.prefill_tokens, step.decode_tokens))
        self._ended_s = now_s
        for outcome in step.outcomes:
            self._settle(outcome)
        self._top_up()

    def _settle(self, outcome: Outcome) -> None:
        if outcome.finish == "failed":
            raise EngineUnusable(f"the engine answers no trial prompt: {outcome.detail}")
        self._under_way.discard(outcome.id)
        if not self._under_way:
            self._rests.set()

    def _top_up(self) -> None:
        model = self._config.model
        decoding = min(LADDER_SEQUENCES, model.sequences)
        wanted = {None: 0, "prefill": PREFILL_WAITING, "decode": decoding}[self._phase]
        while len(self._under_way) < wanted:
            work = self._work(str(next(self._numbers)))
            self._under_way.add(work.id)
            self._engine.send(work)

    def _work(self, id: str) -> Work:
        context_tokens = self._config.model.context_tokens
        if self._phase == "prefill":
            chars = min(PROMPT_CHARS_MAX, int(PROMPT_SHARE * context_tokens))
            payload = (f"{id} pallets at dock " * chars)[:chars]
            return Work(id, Prompt(payload=payload), max_tokens=1)
        chars = min(ANSWER_CHARS_MAX, int(ANSWER_SHARE * context_tokens))
        schema = {"type": "string", "minLength": chars, "maxLength": chars}
        return Work(id, Prompt(payload=f"{id} pallets"), json.dumps(schema))
