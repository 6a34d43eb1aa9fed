"""A `Work` or `Measure` frame becomes one text for the runtime, a cap and a check, or a refusal.

In:  frames.     Out: `Request` for the step thread, `Measured` for the daemon.
Threads: the preparing thread's. The runtime has no call that counts tokens, and it tokenises
special tokens wherever they stand: so lengths are bounds, and what a device writes is taken apart
where it looks like a special token.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

from edged.engine.compact import expanded
from edged.engine.formats import RoleFormat, Segment
from edged.engine.frames import Measure, Measured, Prompt, Sampling, Work
from edged.engine.looks import SPECIAL
from edged.engine.prepare import measured, written_schema
from edged.engine.rkllm.json_answer import AnswerCheck, answer_check
from edged.engine.rkllm.session import Chosen, Order
from edged.engine.schema import Lengths
from edged.errors import Refusal

CHECKS_MAX = 64
# A request that names no top_k. Source: llama.cpp's default; the runtime documents none.
TOP_K = 40
# What a greedy answer that was not valid is drawn again with: the same run would write the same.
DRAWN = Chosen(top_k=TOP_K, top_p=0.95, temperature=0.7)
# The runtime's model may write spaces, which the schema's longest answer does not count.
SPACES_SHARE = 2
TOLD = "\nAnswer with one JSON value and nothing else. Its JSON Schema:\n"


@dataclass(slots=True, eq=False)
class Request:
    """One prompt, ready to be run.

    Attributes:
        order: the run; its text is the whole prompt.
        prompt_tokens: of the prompt, at most.
        root: the template's constant part; empty where there is none.
        check: what the answer is held against; None for free text.
        is_reported: False for the engine's own runs.
        place: smaller came earlier; set when the step thread takes it.
    """

    work: Work
    order: Order
    prompt_tokens: int
    arrived_s: float
    root: str = ""
    check: AnswerCheck | None = None
    is_reported: bool = True
    place: int = 0

    @property
    def cells(self) -> int:
        """Tokens that prompt and answer can have together."""
        return self.prompt_tokens + self.order.tokens_max

    @property
    def again(self) -> Order:
        """The second run of an answer that was not valid."""
        greedy = self.order.chosen.top_k == Chosen().top_k
        return replace(self.order, chosen=DRAWN) if greedy else self.order

    def answer(self, written: str) -> str:
        """Return the answer in what the model wrote.

        Raises:
            Invalid: the schema refuses it.
        """
        if self.check is None:
            return written
        valid = self.check.valid(written)
        is_compact = self.work.wire == "compact" and self.work.schema is not None
        return expanded(valid, json.loads(self.work.schema or "{}")) if is_compact else valid


@dataclass(slots=True)
class Preparer:
    """Knows the model's format and how long things may get.

    Attributes:
        context_tokens: prompt plus answer, at most.
        answer_tokens: cap of free text that names none.
        token_bytes: bytes of a prompt that count as one token; with 1 the count is a bound.
    """

    form: RoleFormat
    lengths: Lengths
    context_tokens: int
    answer_tokens: int
    token_bytes: int
    _checks: OrderedDict[str, AnswerCheck] = field(default_factory=OrderedDict)

    def measured(self, frame: Measure) -> Measured:
        """Return how many tokens a request takes at most, or why it would be refused."""
        return measured(frame, self._counted, self._check_room)

    def sequence(self, frame: Work, arrived_s: float) -> Request:
        """Return the request, ready to be run.

        Raises:
            Refusal: `bad_schema`, `too_long` or `malformed`.
        """
        text, check = self._parts(frame)
        prompt_tokens = self._tokens(text)
        self._check_room(prompt_tokens, frame.max_tokens or 1)
        room = self.context_tokens - prompt_tokens
        most = frame.max_tokens or (_longest(check) if check else self.answer_tokens) or room
        stop = (*frame.sampling.stop, *self.form.stop)
        return Request(
            work=replace(frame, sampling=replace(frame.sampling, stop=stop)),
            order=Order(text, min(most, room), chosen(frame.sampling)),
            prompt_tokens=prompt_tokens,
            arrived_s=arrived_s,
            root=frame.prompt.root,
            check=check,
        )

    def _counted(self, frame: Measure) -> Measured:
        text, check = self._parts(frame)
        return Measured(frame.id, self._tokens(text), 1, _longest(check))

    def _parts(self, frame: Work | Measure) -> tuple[str, AnswerCheck | None]:
        schema = written_schema(frame)
        check = None if schema is None else self._check(schema)
        told = "" if schema is None else TOLD + schema
        text = "".join(map(_text, self._segments(frame, told)))
        if not text:
            raise Refusal("malformed", "prompt: it is empty; the model needs at least one token")
        if "\0" in text:
            raise Refusal(
                "malformed",
                "prompt: it has a NUL character, where the runtime ends texts; leave it out",
            )
        return text, check

    def _segments(self, frame: Work | Measure, told: str) -> list[Segment]:
        prompt = frame.prompt
        if not prompt.messages:
            own = Segment(prompt.payload + told, False)
            return [Segment(prompt.root, True), own, Segment(prompt.suffix, True)]
        *before, last = prompt.messages
        return self.form.segments([*before, replace(last, content=last.content + told)])

    def _check(self, schema: str) -> AnswerCheck:
        if schema not in self._checks:
            self._checks[schema] = answer_check(schema, self.lengths)
        self._checks.move_to_end(schema)
        if len(self._checks) > CHECKS_MAX:
            self._checks.popitem(last=False)
        return self._checks[schema]

    def _tokens(self, text: str) -> int:
        return -(-len(text.encode()) // self.token_bytes)

    def _check_room(self, prompt_tokens: int, answer_tokens: int) -> None:
        if prompt_tokens + answer_tokens > self.context_tokens:
            raise Refusal(
                "too_long",
                f"the prompt can have {prompt_tokens} tokens and its answer needs "
                f"{answer_tokens}; together at most {self.context_tokens} are possible",
            )


def cache_request(first: Request, path: Path) -> Request:
    """Return the run that writes the KV cache of a template's constant part, and nothing else."""
    work = Work("cache", Prompt(first.root), priority=-1)
    order = Order(first.root, 1, saves=path)
    return Request(work, order, first.prompt_tokens, first.arrived_s, is_reported=False)


def apart(text: str) -> str:
    """Return a device's text without special tokens: a space breaks what looks like one."""
    return SPECIAL.sub(r"\1 ", text)


def chosen(sampling: Sampling) -> Chosen:
    """Return the runtime's sampling for a request's.

    Raises:
        Refusal: `malformed`, when it asks for what the runtime cannot do.
    """
    if sampling.temperature == 0:
        return Chosen(repeat_penalty=sampling.repeat_penalty)
    if sampling.seed is not None or sampling.min_p > 0:
        key = "min_p" if sampling.seed is None else "seed"
        raise Refusal("malformed", f"{key}: the RKLLM runtime has none; leave it out")
    return Chosen(
        top_k=TOP_K if sampling.top_k is None else sampling.top_k,
        top_p=sampling.top_p,
        temperature=sampling.temperature,
        repeat_penalty=sampling.repeat_penalty,
    )


def _text(segment: Segment) -> str:
    return segment.text if segment.is_special else apart(segment.text)


def _longest(check: AnswerCheck | None) -> int | None:
    if check is None or check.checked.bytes_max is None:
        return None
    return SPACES_SHARE * check.checked.bytes_max
