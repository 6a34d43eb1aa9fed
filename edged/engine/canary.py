"""A prompt with a known answer: does the model still compute what it should?

In:  the worker, the canary of the model.     Out: nothing, or `EngineUnusable`.
A compute backend can return garbage with success; so it is asked after the load and after idling.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from edged.engine.frames import Prompt, Work
from edged.engine.prepare import Preparer
from edged.engine.worker import Worker
from edged.errors import EngineUnusable, Refusal

TOKENS = 8


@dataclass(frozen=True, slots=True)
class Canary:
    """What is asked.

    Attributes:
        answer: the whole answer expected; None when any text of finite logits will do.
    """

    prompt: Prompt
    schema: str | None = None
    answer: str | None = None


ANY_TEXT = Canary(Prompt(payload="1 2 3 4"))


def check_canary(worker: Worker, preparer: Preparer, canary: Canary) -> None:
    """Ask the canary.

    Raises:
        EngineUnusable: the answer is another one, empty, or could not be computed.
    """
    cap = None if canary.schema else TOKENS
    work = Work("canary", canary.prompt, canary.schema, max_tokens=cap, priority=9)
    try:
        sequence = preparer.sequence(work, time.monotonic())
    except Refusal as refusal:
        raise EngineUnusable(
            f"the model's own test prompt cannot be run: {refusal.detail}; "
            "raise model.context_tokens"
        ) from refusal
    sequence.is_reported = False
    outcome = worker.answer(sequence)
    if outcome.finish == "failed":
        raise EngineUnusable(f"the model does not compute: {outcome.detail}")
    if canary.answer is None and not outcome.output_tokens:
        raise EngineUnusable("the model answers a test prompt with nothing; is the file damaged?")
    if canary.answer is not None and outcome.text != canary.answer:
        raise EngineUnusable(
            f"the model answers its test prompt with {outcome.text!r} instead of "
            f"{canary.answer!r}; the file or the compute backend is damaged"
        )
