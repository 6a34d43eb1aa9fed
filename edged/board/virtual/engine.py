"""The virtual engine: sequences in a batch, prefill in chunks, decode one token for each.

In:  requests with their arrival and deadline.     Out: the next step; which tokens were useful.
A step is either a prefill chunk or a decode step; they take turns, so that answers under way go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from edged.power.forecast import Step


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt of the load: when it comes, how long it is, until when it is wanted."""

    arrival_s: float
    prompt_tokens: int
    output_tokens: int
    deadline_s: float


@dataclass(slots=True)
class _Sequence:
    request: Request
    prefill_left: int
    decode_left: int


@dataclass(slots=True)
class Engine:
    """The batch and the queue in front of it.

    Attributes:
        arrivals: requests in order of arrival; endless for a saturated load.
        useful_tokens: output tokens of answers that were complete before their deadline.
        context_tokens: longer prompts are trimmed to it.
    """

    arrivals: Iterator[Request]
    sequences: int = 8
    context_tokens: int = 1_000_000
    useful_tokens: int = 0
    finished: int = 0
    late: int = 0
    _queue: deque[Request] = field(default_factory=deque)
    _batch: list[_Sequence] = field(default_factory=list)
    _coming: Request | None = None
    _prefill_turn: bool = True

    def __post_init__(self) -> None:
        self._coming = next(self.arrivals, None)

    @property
    def tokens(self) -> int:
        """Return the useful output tokens, those of answers still in time under way included."""
        under_way = sum(one.request.output_tokens - one.decode_left for one in self._batch)
        return self.useful_tokens + under_way

    def next_arrival_s(self) -> float:
        """Return when the next request comes."""
        return float("inf") if self._coming is None else self._coming.arrival_s

    def admit(self, now_s: float) -> None:
        """Let in what has come; drop what is too late already."""
        # A saturated load has always a request ready: only as many as have room are drawn.
        while (
            self._coming is not None
            and self._coming.arrival_s <= now_s
            and len(self._queue) < self.sequences + 64
        ):
            self._queue.append(self._coming)
            self._coming = next(self.arrivals, None)
        self._batch = [one for one in self._batch if self._is_alive(one, now_s)]
        while self._queue and len(self._batch) < self.sequences:
            request = self._queue.popleft()
            if request.deadline_s <= now_s:
                self.late += 1
                continue
            prompt = min(request.prompt_tokens, max(1, self.context_tokens - request.output_tokens))
            self._batch.append(_Sequence(request, prompt, request.output_tokens))

    def _is_alive(self, one: _Sequence, now_s: float) -> bool:
        if one.request.deadline_s > now_s:
            return True
        self.late += 1
        return False

    def step(self, chunk_tokens: int) -> Step | None:
        """Return the next step; None when nothing waits."""
        waiting = sum(one.prefill_left for one in self._batch)
        answering = sum(one.prefill_left == 0 for one in self._batch)
        if waiting and (self._prefill_turn or not answering):
            return Step("prefill", min(chunk_tokens, waiting))
        return Step("decode", answering) if answering else None

    def done(self, step: Step, now_s: float) -> None:
        """Take the result of a step."""
        if step.phase == "prefill":
            self._prefill_turn = False
            left = step.tokens
            for one in self._batch:
                taken = min(left, one.prefill_left)
                one.prefill_left -= taken
                left -= taken
            return
        self._prefill_turn = True
        for one in self._batch:
            if one.prefill_left == 0:
                one.decode_left -= 1
        for one in [one for one in self._batch if one.decode_left == 0]:
            self._batch.remove(one)
            self.finished += 1
            if one.request.deadline_s >= now_s:
                self.useful_tokens += one.request.output_tokens
