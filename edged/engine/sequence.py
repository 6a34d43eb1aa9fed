"""One request in the engine: its tokens, how many of them the KV cache holds, its answer so far.

In:  a prepared `Work`, then one sampled token at a time.     Out: deltas, then an `Outcome`.
Threads: made by the preparing thread, then the step thread's alone. Times are monotonic seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Literal

from edged.engine.backend import Vocabulary
from edged.engine.constraints import Matcher, MatcherFailed
from edged.engine.field_scores import FieldScores
from edged.engine.filled import filled
from edged.engine.frames import Limits, Outcome, Work
from edged.engine.room import Room
from edged.engine.sampling import NoToken, Row, Sampled, sample
from edged.engine.text import AnswerText

Finish = Literal["stop", "schema", "length", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """A prompt as tokens.

    Attributes:
        root: the part shared with other requests; empty when there is none to share.
        own: what follows it; never empty, for the logits behind its last token are needed.
    """

    root: tuple[int, ...]
    own: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.root) + len(self.own)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an answer is over; `filled`: paths of the values that its closing wrote."""

    finish: Finish
    reason: str | None = None
    detail: str = ""
    filled: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Sequence:
    """One request.

    Attributes:
        cap_tokens: the answer has no more.
        matcher: None for free text.
        end_tokens: special tokens that end an answer beside the vocabulary's own.
        seed: of `generator`; None when nothing is drawn.
        expand: makes the reported text of what the model wrote, piece by piece.
        place: names a place in what the model wrote as the place in the reported text.
        room: what is left of the cap; None where the answer is not closed at it.
        is_reported: False for the canary, which no daemon asked for.
        order: smaller came earlier; set when the step thread takes it.
        tokens: prompt, then answer.
        n_past: how many of them the KV cache holds.
        n_prefill: how many count as prompt: all that a parked sequence had, when it resumes.
        kv: its KV sequence id; None while it waits.
        granted: the limits it was started under.
        log_p_min: lowest log probability of a chosen token; None before there is one.
        fields: the same by top-level field, and its sum; of answers with a schema.
        ending: set once it is over.
    """

    work: Work
    prompt: PromptTokens
    cap_tokens: int
    matcher: Matcher | None
    end_tokens: frozenset[int]
    vocabulary: Vocabulary
    generator: Random
    seed: int | None
    arrived_s: float
    expand: Callable[[str], str] = str
    place: Callable[[str], str] = str
    room: Room | None = None
    is_reported: bool = True
    order: int = 0
    tokens: list[int] = field(init=False)
    text: AnswerText = field(init=False)
    n_past: int = 0
    n_prefill: int = field(init=False)
    n_forced: int = 0
    cached_tokens: int | None = None
    kv: int | None = None
    served: int = 0
    granted: Limits | None = None
    log_p_min: float | None = None
    fields: FieldScores = field(default_factory=FieldScores)
    ttft_s: float | None = None
    ending: Ending | None = None

    def __post_init__(self) -> None:
        self.tokens = [*self.prompt.root, *self.prompt.own]
        self.text = AnswerText(self.work.sampling.stop, self.expand)
        self.n_prefill = len(self.tokens)

    @property
    def n_prompt(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt)

    @property
    def n_answer(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.prompt)

    @property
    def cells(self) -> int:
        """KV cells that it can need, its root's included."""
        return len(self.prompt) + self.cap_tokens

    def open(self) -> str:
        """Take the tokens that the schema forces before anything is sampled; return their text."""
        return self._take_forced()

    def sample(self, row: Row) -> str:
        """Choose the next token from the logits behind the last one; return the new text."""
        try:
            chosen = sample(row, self.matcher, self.work.sampling, self.tokens, self.generator)
        except MatcherFailed as error:
            return self._fail("bad_schema", f"the schema cannot be followed further: {error}")
        except NoToken as error:
            return self._fail("engine_failed", str(error))
        if self.vocabulary.is_end(chosen.token) or chosen.token in self.end_tokens:
            self._trust(chosen)
            return self.end(Ending("schema" if self.matcher else "stop"))
        if not self._has_room([chosen.token], is_chosen=True):
            return self._close()
        self._trust(chosen)
        return self._take_sampled(chosen)

    def park(self) -> None:
        """Forget what the KV cache held; all tokens so far are prefilled again on resuming."""
        self.n_past = 0
        self.kv = None
        self.n_prefill = len(self.tokens)

    def end(self, ending: Ending) -> str:
        """End it; return the text that was held back."""
        self.ending = ending
        return self.text.finish()

    def outcome(self, now_s: float) -> Outcome:
        """Return how it ended; only once `ending` is set."""
        ending = self.ending or Ending("cancelled")
        limits = self.granted or Limits(0, 0, 0)
        return Outcome(
            id=self.work.id,
            finish=ending.finish,
            text=self.text.text,
            reason=ending.reason,
            detail=ending.detail,
            prompt_tokens=self.n_prompt,
            cached_tokens=self.cached_tokens or 0,
            output_tokens=self.n_answer,
            forced_tokens=self.n_forced,
            ttft_s=self.ttft_s,
            total_s=now_s - self.arrived_s,
            confidence=None if self.log_p_min is None else math.exp(self.log_p_min),
            fields=self.fields.scores(),
            filled=ending.filled,
            seed=self.seed,
            context_tokens=limits.context_tokens,
            sequences=limits.sequences,
        )

    def _trust(self, chosen: Sampled) -> None:
        before = 0.0 if self.log_p_min is None else self.log_p_min
        self.log_p_min = min(chosen.log_p, before)

    def _take_sampled(self, chosen: Sampled) -> str:
        token = chosen.token
        new = self._append([token], partial(self.fields.chosen, log_p=chosen.log_p))
        if self.text.is_stopped:
            return new + self.end(Ending("stop"))
        if self.matcher is not None:
            try:
                self.matcher.take(token)
            except MatcherFailed as error:
                return new + self._fail("bad_schema", f"the schema cannot be followed: {error}")
            return new + self._take_forced()
        if self.n_answer >= self.cap_tokens:
            return new + self.end(Ending("length"))
        return new

    def _take_forced(self) -> str:
        if self.matcher is None:
            return ""
        try:
            forced = self.matcher.ahead()
            if not self._has_room(forced, is_chosen=False):
                return self._close()
            self.matcher.take(*forced)
        except MatcherFailed as error:
            return self._fail("bad_schema", f"the schema cannot be followed further: {error}")
        is_over = self.n_answer + len(forced) > self.cap_tokens
        forced = forced[: self.cap_tokens - self.n_answer]
        self.n_forced += len(forced)
        return self._append(forced, self.fields.forced) + self._end_if_whole(
            self.matcher, is_over=is_over
        )

    def _end_if_whole(self, matcher: Matcher, *, is_over: bool) -> str:
        if matcher.is_complete and not is_over:
            return self.end(Ending("schema"))
        if self.n_answer < self.cap_tokens:
            return ""
        if matcher.is_accepting and not is_over:
            # A number that could have gone on.
            return self.end(Ending("length" if self.room else "schema"))
        return self._fail(
            "cap", f"the answer was not complete at its cap of {self.cap_tokens} tokens"
        )

    def _has_room(self, tokens: list[int], *, is_chosen: bool) -> bool:
        """Return whether the answer can still be closed behind these tokens."""
        if self.room is None or not tokens:
            return True
        return self.room.takes(list(map(self.vocabulary.piece, tokens)), is_chosen=is_chosen)

    def _close(self) -> str:
        """Complete the answer with the shortest closing; no pass of the model follows."""
        assert self.room is not None, "only an answer with a room is closed"
        assert self.matcher is not None, "only an answer with a schema has a room"
        closing = list(self.room.closing or ())
        try:
            self.matcher.take(*closing)
        except MatcherFailed as error:
            return self._fail("cap", f"the closing at the cap was refused: {error}")
        if not self.matcher.is_accepting:
            return self._fail("cap", "the closing at the cap did not complete the answer")
        self.n_forced += len(closing)
        new = self._append(closing, self.fields.closed)
        answer = self.room.text + b"".join(map(self.vocabulary.piece, closing))
        places = map(self.place, filled(answer, self.room.chosen_bytes))
        return new + self.end(Ending("length", filled=tuple(places)))

    def _append(self, tokens: list[int], score: Callable[[str], None]) -> str:
        self.tokens += tokens
        told = [self.text.add(self.vocabulary.piece(token)) for token in tokens]
        if self.matcher is not None:
            for text in told:
                score(text)
        return "".join(told)

    def _fail(self, reason: str, detail: str) -> str:
        return self.end(Ending("failed", reason, detail))
