"""Which tokens enter the next batch.

In:  what each sequence has waiting, the bounds of a batch, the learned pace.     Out: `Share`s.
Pure. Decode and forced tokens come first, so that answers under way go on; then prefill, most
urgent first; a prompt more urgent than every answer under way does not wait for them. While
somebody reads a streamed answer as it is written, prefill comes in chunks; else as much as a step
may take, because tokens are cheaper by the hundred. Short runs of several sequences are the
exception: of those a step takes what the backend attends to at the least cost.
Does not know: the model, the KV cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from edged.engine.frames import Limits
from edged.engine.pace import Pace

# Where the fixed part of a step leaves less of its bound, the tokens of a step may take this share
# of it: one token a step would pay the fixed part for each of them.
FIXED_SHARE_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Waiting:
    """Tokens that one sequence has ready for the model.

    Attributes:
        key: KV sequence id.
        tokens: how many; at least 1.
        is_prefill: whether they belong to the prompt; else to the answer.
        priority: 0..9, 9 is most urgent.
        order: smaller came earlier.
        served: number of the step that served it last; decode takes turns by it.
        is_sampled: whether a token is sampled behind the last one; not for a root.
        is_streamed: whether somebody reads its answer while it is written.
    """

    key: int
    tokens: int
    is_prefill: bool
    priority: int
    order: int
    served: int = 0
    is_sampled: bool = True
    is_streamed: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a batch may hold.

    Attributes:
        n_batch: tokens, at most; llama.cpp aborts the process over it.
        chunk_tokens: prefill tokens while a streamed answer is written, at most.
        step_s_max: longest step planned; where the fixed part of a step is most of it, longer.
        prefill_tokens: prefill tokens of any step, at most; None: as many as fit.
        mixed_tokens: tokens of a step that holds short runs of several sequences, at most; a run
            longer than this is worth a full batch, and the others ride along. None: no difference.
    """

    n_batch: int
    chunk_tokens: int
    step_s_max: float
    prefill_tokens: int | None = None
    mixed_tokens: int | None = None

    def within(self, limits: Limits) -> Bounds:
        """Return the bounds with the prefill that the daemon allows, if it says how much."""
        if limits.chunk_tokens is None:
            return self
        allowed = max(1, limits.chunk_tokens)
        chunk_tokens = min(self.chunk_tokens, allowed)
        return replace(self, chunk_tokens=chunk_tokens, prefill_tokens=allowed)


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a sequence's waiting tokens enter the batch."""

    key: int
    tokens: int


def plan(waiting: Iterable[Waiting], bounds: Bounds, pace: Pace) -> list[Share]:
    """Return the next batch; it is empty only when nothing waits.

    When even the smallest share is forecast over `step_s_max`, that one is the batch.
    """
    every = list(waiting)
    is_read = any(one.is_streamed and not one.is_prefill for one in every)
    most = bounds.chunk_tokens if is_read else bounds.prefill_tokens or bounds.n_batch
    batch = _Batch(bounds, pace, most, _room_tokens(every, bounds))
    for one in _in_order(every):
        batch.add(one)
    return batch.shares


def tokens_s_max(bounds: Bounds, pace: Pace) -> float:
    """Return what the tokens of a step may take beside its fixed part."""
    return max(bounds.step_s_max - pace.fixed_s, FIXED_SHARE_MIN * pace.fixed_s)


def _room_tokens(waiting: Sequence[Waiting], bounds: Bounds) -> int:
    """Return how many tokens the step may hold."""
    if bounds.mixed_tokens is None or len(waiting) < 2:
        return bounds.n_batch
    is_short = all(one.tokens <= bounds.mixed_tokens for one in waiting)
    return min(bounds.mixed_tokens, bounds.n_batch) if is_short else bounds.n_batch


def _in_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    decode, prefill = _decode_order(waiting), _prefill_order(waiting)
    priority = max((one.priority for one in decode), default=0)
    urgent = [one for one in prefill if one.priority > priority]
    return [*urgent, *decode, *prefill[len(urgent) :]]


def _decode_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    decode = [one for one in waiting if not one.is_prefill]
    return sorted(decode, key=lambda one: (one.served, -one.priority, one.order))


def _prefill_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    prefill = [one for one in waiting if one.is_prefill]
    return sorted(prefill, key=lambda one: (-one.priority, one.order))


class _Batch:
    """The batch as it fills."""

    def __init__(self, bounds: Bounds, pace: Pace, chunk_tokens: int, room_tokens: int) -> None:
        self.shares: list[Share] = []
        self._room = room_tokens
        self._left_s = tokens_s_max(bounds, pace)
        self._chunk = chunk_tokens
        self._pace = pace

    def add(self, one: Waiting) -> None:
        """Add as much of one sequence as still fits, or nothing."""
        room = min(self._room, self._chunk) if one.is_prefill else self._room
        whole_s = self._cost_s(one, one.tokens)
        if one.tokens <= room and whole_s <= self._left_s:
            count = one.tokens
        else:
            fits = int(self._left_s / self._pace.prefill_s)
            count = min(room, fits, max(1, one.tokens - 1))
            if one.tokens == 1 or count <= 0:
                count = 0 if self.shares else 1
        if count > 0 and room > 0:
            self._take(one, count)

    def _take(self, one: Waiting, count: int) -> None:
        self.shares.append(Share(one.key, count))
        self._room -= count
        self._chunk -= count if one.is_prefill else 0
        self._left_s -= self._cost_s(one, count)

    def _cost_s(self, one: Waiting, count: int) -> float:
        sampled = int(one.is_sampled and count == one.tokens)
        return self._pace.tokens_s(count - sampled, sampled)
