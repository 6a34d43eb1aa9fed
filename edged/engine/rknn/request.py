"""A frame becomes a choice between labels, or a refusal: this engine classifies and no more.

In:  frames.     Out: `Request` for the step thread, `Measured` for the daemon.
Threads: the preparing thread's. The classifier sees the device's own text: a template's constant
part is told to a model that reads instructions, which this one does not.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from edged.engine.frames import Measure, Measured, Work
from edged.engine.prepare import measured, written_schema
from edged.engine.rkllm.json_answer import AnswerCheck, answer_check
from edged.engine.rkllm.request import CHECKS_MAX, Request
from edged.engine.rknn.classifier import Recipe
from edged.engine.rknn.session import Choice
from edged.engine.schema import Lengths
from edged.errors import Refusal

ONLY = "this board's engine is a classifier (engine.backend = rknn): it answers schemas"


@dataclass(slots=True)
class Preparer:
    """Knows the classifier's labels and how long a text may get."""

    recipe: Recipe
    lengths: Lengths
    _checks: OrderedDict[str, tuple[AnswerCheck, tuple[str, ...]]] = field(
        default_factory=OrderedDict
    )

    def measured(self, frame: Measure) -> Measured:
        """Return how many tokens a request takes, or why it would be refused."""
        return measured(frame, self._counted, self._check_room)

    def sequence(self, frame: Work, arrived_s: float) -> Request:
        """Return the request, ready to be run.

        Raises:
            Refusal: `bad_schema`, `too_long` or `malformed`.
        """
        check, allowed = self._checked(frame)
        tokens = self._tokens(frame)
        self._check_room(tokens, 1)
        if frame.sampling.temperature != 0:
            raise Refusal("malformed", "temperature: a classifier does not draw; leave it out")
        order = Choice(_text(frame), 1, allowed=allowed)
        return Request(frame, order, tokens, arrived_s, check=check)

    def _counted(self, frame: Measure) -> Measured:
        self._checked(frame)
        return Measured(frame.id, self._tokens(frame), 1, 1)

    def _checked(self, frame: Work | Measure) -> tuple[AnswerCheck, tuple[str, ...]]:
        schema = written_schema(frame)
        if schema is None:
            raise Refusal("bad_schema", f"{ONLY} of a single enum; give it one")
        if schema not in self._checks:
            self._checks[schema] = answer_check(schema, self.lengths), self._allowed(schema)
        self._checks.move_to_end(schema)
        if len(self._checks) > CHECKS_MAX:
            self._checks.popitem(last=False)
        return self._checks[schema]

    def _allowed(self, schema: str) -> tuple[str, ...]:
        table: dict[str, Any] = json.loads(schema)
        values = table.get("enum")
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise Refusal("bad_schema", f"{ONLY} of a single enum of texts, nothing around it")
        unknown = [value for value in values if value not in self.recipe.labels]
        if unknown:
            raise Refusal(
                "bad_schema",
                f"enum: {unknown[0]!r} is none of the classifier's labels, which are "
                f"{', '.join(self.recipe.labels)}",
            )
        return tuple(values)

    def _tokens(self, frame: Work | Measure) -> int:
        return len(self.recipe.words.encode(_text(frame)))

    def _check_room(self, prompt_tokens: int, _answer_tokens: int) -> None:
        """Refuse a text over the model's input; the answer takes no place in it."""
        if prompt_tokens > self.recipe.input_tokens:
            raise Refusal(
                "too_long",
                f"the prompt has {prompt_tokens} tokens; the classifier takes "
                f"{self.recipe.input_tokens}",
            )


def _text(frame: Work | Measure) -> str:
    prompt = frame.prompt
    return prompt.messages[-1].content if prompt.messages else prompt.payload
