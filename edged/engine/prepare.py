"""A `Work` or `Measure` frame becomes tokens, a compiled schema and a cap, or a refusal.

In:  frames.     Out: `Sequence` for the step thread, `Measured` for the daemon.
Threads: the preparing thread's; tokenising and compiling make neither a step nor the lease wait.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from edged.engine.backend import Vocabulary
from edged.engine.compact import Expander, named_path, obstacle, wire_schema
from edged.engine.constraints import Constraint, Constraints
from edged.engine.formats import Format, prompt_tokens
from edged.engine.frames import Measure, Measured, Work
from edged.engine.room import Room
from edged.engine.schema_size import compact
from edged.engine.sequence import PromptTokens, Sequence
from edged.errors import Refusal


@dataclass(slots=True)
class Preparer:
    """Knows the model's vocabulary, its format and how long things may get.

    Attributes:
        context_tokens: prompt plus answer of one sequence, at most.
        answer_tokens: cap of free text that names none.
    """

    vocabulary: Vocabulary
    form: Format
    constraints: Constraints
    context_tokens: int
    answer_tokens: int

    def measured(self, frame: Measure) -> Measured:
        """Return how many tokens a request takes, or why it would be refused."""
        return measured(frame, self._counted, self._check_room)

    def sequence(self, frame: Work, arrived_s: float) -> Sequence:
        """Return the request, ready to be run.

        Raises:
            Refusal: `bad_schema`, `too_long` or `malformed`.
        """
        prompt, constraint = self._parts(frame)
        cap = self._cap_tokens(frame, prompt, constraint)
        seed = frame.sampling.seed
        if seed is None and frame.sampling.temperature > 0:
            seed = secrets.randbits(32)
        stop = () if constraint else (*frame.sampling.stop, *self.form.stop)
        return Sequence(
            work=replace(frame, sampling=replace(frame.sampling, stop=stop)),
            prompt=prompt,
            cap_tokens=cap,
            matcher=constraint.matcher() if constraint else None,
            end_tokens=frozenset() if constraint else self._end_tokens(),
            vocabulary=self.vocabulary,
            # Of a number below 0, `Random` takes the amount alone.
            generator=Random(None if seed is None else seed % 2**64),
            seed=seed,
            arrived_s=arrived_s,
            expand=_expand(frame),
            place=_place(frame),
            room=_room(frame, constraint, cap),
        )

    def _counted(self, frame: Measure) -> Measured:
        prompt, constraint = self._parts(frame)
        least = constraint.answer_tokens_min if constraint else 1
        most = constraint.answer_tokens_max if constraint else self.answer_tokens
        return Measured(frame.id, len(prompt), least, most)

    def _end_tokens(self) -> frozenset[int]:
        """Return the format's stop words that are special tokens: they have no text to meet."""
        words = (self.vocabulary.tokenise(word, special=True) for word in self.form.stop)
        return frozenset(
            tokens[0]
            for tokens in words
            if len(tokens) == 1 and not self.vocabulary.piece(tokens[0])
        )

    def _parts(self, frame: Work | Measure) -> tuple[PromptTokens, Constraint | None]:
        schema = written_schema(frame)
        constraint = None if schema is None else self.constraints.constraint(schema)
        if constraint and constraint.answer_tokens_min >= self.context_tokens:
            raise Refusal(
                "bad_schema",
                f"an answer needs {constraint.answer_tokens_min} tokens; prompt and answer "
                f"have at most {self.context_tokens} together",
            )
        tokens = prompt_tokens(frame.prompt, self.vocabulary, self.form)
        if not len(tokens):
            raise Refusal("malformed", "prompt: it is empty; the model needs at least one token")
        return tokens, constraint

    def _cap_tokens(self, frame: Work, prompt: PromptTokens, constraint: Constraint | None) -> int:
        least = constraint.answer_tokens_min if constraint else 1
        if frame.max_tokens is not None:
            if frame.max_tokens < least:
                raise Refusal(
                    "malformed",
                    f"max_tokens = {frame.max_tokens}; an answer to the schema needs {least}",
                )
            self._check_room(len(prompt), frame.max_tokens)
            return frame.max_tokens
        self._check_room(len(prompt), least)
        most = constraint.answer_tokens_max if constraint else self.answer_tokens
        room = self.context_tokens - len(prompt)
        return room if most is None else min(most, room)

    def _check_room(self, prompt_tokens: int, answer_tokens: int) -> None:
        if prompt_tokens + answer_tokens > self.context_tokens:
            raise Refusal(
                "too_long",
                f"the prompt has {prompt_tokens} tokens and its answer needs {answer_tokens}; "
                f"together at most {self.context_tokens} are possible",
            )


def measured(
    frame: Measure, count: Callable[[Measure], Measured], check_room: Callable[[int, int], None]
) -> Measured:
    """Return what a request takes, and why it would be refused, if it would.

    Args:
        frame: the request.
        count: raises `Refusal` where it cannot be counted at all.
        check_room: takes the tokens of prompt and shortest answer; raises `Refusal` where they
            are too many.
    """
    counted = Measured(frame.id)
    try:
        counted = count(frame)
        check_room(counted.prompt_tokens, counted.answer_tokens_min)
    except Refusal as refusal:
        return replace(counted, reason=refusal.reason, detail=refusal.detail)
    return counted


def written_schema(frame: Work | Measure) -> str | None:
    """Return the schema of what the model writes, which is not what is reported if compact."""
    if frame.schema is None or frame.wire == "json":
        return frame.schema
    try:
        schema = json.loads(frame.schema)
    except (ValueError, RecursionError) as error:
        raise Refusal("bad_schema", f"schema is not JSON: {error}") from error
    problem = obstacle(schema)
    if problem is not None:
        raise Refusal("bad_schema", f"schema has no compact form: {problem}")
    return compact(wire_schema(schema))


def _expand(frame: Work) -> Callable[[str], str]:
    if frame.schema is None or frame.wire == "json":
        return str
    return Expander(json.loads(frame.schema)).add


def _place(frame: Work) -> Callable[[str], str]:
    if frame.schema is None or frame.wire == "json":
        return str
    return partial(named_path, schema=json.loads(frame.schema))


def _room(frame: Work, constraint: Constraint | None, cap_tokens: int) -> Room | None:
    """Return what closes the answer at its cap; None where it cannot come so far, or shall fail."""
    if constraint is None or constraint.closings is None or frame.on_cap == "error":
        return None
    most = constraint.answer_tokens_max
    is_safe = most is not None and most <= cap_tokens
    return None if is_safe else Room(constraint.closings, cap_tokens)
