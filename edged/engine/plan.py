"""Which tokens enter the next batch.

In:  what each sequence has waiting, the bounds of a batch, the learned pace.     Out: `Share`s.
Pure. The most urgent come first, and all others get what a share of their seconds buys: so the
urgent take at most 1.2 times as long as alone, and one token more. What they waited for a step of
the others is of that share. Others sit steps out, and keep their KV cache. What a step leaves of
the share is kept, up to a token: so nobody waits for ever.
Among equals decode and forced tokens come first, so that answers under way go on; then prefill.
While somebody reads a streamed answer as it is written, prefill comes in chunks; else as much as a
step may take, because tokens are cheaper by the hundred. Short runs of several sequences are the
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
# What others' tokens may add to the seconds of the most urgent, of 0.3 in all: their prompts are
# measured, stored and told meanwhile, and a step that plans for 16 takes longer. With 0.3 here an
# urgent answer took 1.43 times as long as alone, by the simulated engine on 2 cores (measured).
OTHERS_SHARE = 0.2


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


def plan(
    waiting: Iterable[Waiting], bounds: Bounds, pace: Pace, credit_s: float = 0.0
) -> list[Share]:
    """Return the next batch; it is empty only when nothing waits.

    When even the smallest share is forecast over `step_s_max`, that one is the batch.

    Args:
        waiting: what each sequence has ready.
        bounds: of the batch.
        pace: the learned one.
        credit_s: what earlier steps left to the less urgent, see `credit_after`.
    """
    every = list(waiting)
    urgent, others = _split(every)
    batch = _Batch(
        pace,
        chunk_tokens=_chunk_tokens(urgent, bounds),
        room_tokens=_room_tokens(every, bounds),
        left_s=tokens_s_max(bounds, pace),
    )
    line = _in_order(others)
    if line and credit_s >= token_s(pace):
        batch.add_token(line.pop(0))
    others_s = batch.took_s
    for one in _in_order(urgent):
        batch.add(one)
    alone_s = pace.fixed_s + batch.took_s - others_s
    share_s = credit_s + OTHERS_SHARE * alone_s - others_s
    batch.bound(chunk_tokens=_chunk_tokens(every, bounds), most_s=max(0.0, share_s))
    for one in line:
        batch.add(one)
    return batch.shares


def credit_after(
    waiting: Iterable[Waiting], shares: Iterable[Share], pace: Pace, credit_s: float
) -> float:
    """Return what a step leaves to the less urgent; below 0: that they had more than their share.

    Where the urgent would have filled the step, what the others had took them part of its fixed
    seconds too.
    """
    urgent, others = _split(list(waiting))
    if not others:
        return 0.0
    taken = {share.key: share.tokens for share in shares}
    urgent_s = sum(_cost_s(one, taken.get(one.key, 0), pace) for one in urgent)
    others_s = sum(_cost_s(one, taken.get(one.key, 0), pace) for one in others)
    fixed_s = 0.0
    if any(taken.get(one.key, 0) < one.tokens for one in urgent):
        fixed_s = pace.fixed_s * others_s / (urgent_s + others_s)
    alone_s, charge_s = pace.fixed_s + urgent_s - fixed_s, others_s + fixed_s
    return min(token_s(pace), credit_s + OTHERS_SHARE * alone_s - charge_s)


def credit_awaited(credit_s: float, waited_s: float) -> float:
    """Return the credit once somebody more urgent waited for a step of the others.

    Several that waited for the same step waited at once: the others pay for it once.
    """
    return min(credit_s, -waited_s) if waited_s > 0 else credit_s


def token_s(pace: Pace) -> float:
    """Return what one token of any kind adds to a step, at most."""
    return max(pace.prefill_s, pace.decode_s)


def tokens_s_max(bounds: Bounds, pace: Pace) -> float:
    """Return what the tokens of a step may take beside its fixed part."""
    return max(bounds.step_s_max - pace.fixed_s, FIXED_SHARE_MIN * pace.fixed_s)


def _room_tokens(waiting: Sequence[Waiting], bounds: Bounds) -> int:
    """Return how many tokens the step may hold."""
    if bounds.mixed_tokens is None or len(waiting) < 2:
        return bounds.n_batch
    is_short = all(one.tokens <= bounds.mixed_tokens for one in waiting)
    return min(bounds.mixed_tokens, bounds.n_batch) if is_short else bounds.n_batch


def _split(waiting: Sequence[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
    """Return the most urgent, and the others."""
    top = max((one.priority for one in waiting), default=0)
    urgent = [one for one in waiting if one.priority == top]
    return urgent, [one for one in waiting if one.priority < top]


def _chunk_tokens(waiting: Iterable[Waiting], bounds: Bounds) -> int:
    """Return how much prefill a step may hold."""
    is_read = any(one.is_streamed and not one.is_prefill for one in waiting)
    return bounds.chunk_tokens if is_read else bounds.prefill_tokens or bounds.n_batch


def _in_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    return [*_decode_order(waiting), *_prefill_order(waiting)]


def _decode_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    decode = [one for one in waiting if not one.is_prefill]
    return sorted(decode, key=lambda one: (one.served, -one.priority, one.order))


def _prefill_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    prefill = [one for one in waiting if one.is_prefill]
    return sorted(prefill, key=lambda one: (-one.priority, one.order))


def _cost_s(one: Waiting, count: int, pace: Pace) -> float:
    """Return what so many tokens of a sequence add to a step."""
    sampled = int(one.is_sampled and 0 < count == one.tokens)
    return pace.tokens_s(count - sampled, sampled)


class _Batch:
    """The batch as it fills."""

    def __init__(self, pace: Pace, *, chunk_tokens: int, room_tokens: int, left_s: float) -> None:
        self.shares: list[Share] = []
        self.took_s = 0.0
        self._room = room_tokens
        self._left_s = left_s
        self._chunk = chunk_tokens
        self._prefilled = 0
        self._pace = pace

    def bound(self, *, chunk_tokens: int, most_s: float) -> None:
        """Let what follows take no more than `most_s`, and prefill no more than a chunk in all."""
        self._chunk = max(0, chunk_tokens - self._prefilled)
        self._left_s = min(self._left_s, most_s)

    def add_token(self, one: Waiting) -> None:
        """Add one token of a sequence."""
        self._take(one, 1)

    def add(self, one: Waiting) -> None:
        """Add as much of one sequence as still fits, or nothing."""
        room = min(self._room, self._chunk) if one.is_prefill else self._room
        whole_s = _cost_s(one, one.tokens, self._pace)
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
        if one.is_prefill:
            self._chunk -= count
            self._prefilled += count
        took_s = _cost_s(one, count, self._pace)
        self.took_s += took_s
        self._left_s -= took_s
