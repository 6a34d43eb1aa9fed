"""Which tokens enter the next batch.

In:  what each sequence has waiting, the bounds of a batch, the learned pace.     Out: `Share`s.
Pure. Decode and forced tokens come first, so that answers under way go on; then prefill, most
urgent first. Does not know: the model, the KV cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from edged.engine.frames import Limits


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
    """

    key: int
    tokens: int
    is_prefill: bool
    priority: int
    order: int
    served: int = 0
    is_sampled: bool = True


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a batch may hold.

    Attributes:
        n_batch: tokens, at most; llama.cpp aborts the process over it.
        chunk_tokens: prefill tokens, at most.
        step_s_max: longest step planned.
    """

    n_batch: int
    chunk_tokens: int
    step_s_max: float

    def within(self, limits: Limits) -> Bounds:
        """Return the bounds with the chunk that the daemon allows, if it says one."""
        if limits.chunk_tokens is None:
            return self
        return replace(self, chunk_tokens=max(1, min(self.chunk_tokens, limits.chunk_tokens)))


@dataclass(frozen=True, slots=True)
class Pace:
    """Measured seconds, learned from the steps.

    Attributes:
        prefill_s: per prompt or forced token.
        decode_s: per sequence that gets a token sampled.
    """

    prefill_s: float
    decode_s: float

    def forecast_s(self, prefill_tokens: int, decode_tokens: int) -> float:
        """Return how long a step of so many tokens takes."""
        return prefill_tokens * self.prefill_s + decode_tokens * self.decode_s

    def learned(self, prefill_tokens: int, decode_tokens: int, step_s: float) -> Pace:
        """Return the pace after one more step; the newest step counts a fifth."""
        expected_s = self.forecast_s(prefill_tokens, decode_tokens)
        if expected_s <= 0 or step_s <= 0:
            return self
        # Bounded: one step that waited for the CPU must not teach ten times the pace.
        off = min(4.0, max(0.25, step_s / expected_s))
        factor = 1 + 0.2 * (off - 1)
        return Pace(
            self.prefill_s * (factor if prefill_tokens else 1),
            self.decode_s * (factor if decode_tokens else 1),
        )


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
    batch = _Batch(bounds, pace)
    for one in [*_decode_order(every), *_prefill_order(every)]:
        batch.add(one)
    return batch.shares


def _decode_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    decode = [one for one in waiting if not one.is_prefill]
    return sorted(decode, key=lambda one: (one.served, -one.priority, one.order))


def _prefill_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    prefill = [one for one in waiting if one.is_prefill]
    return sorted(prefill, key=lambda one: (-one.priority, one.order))


class _Batch:
    """The batch as it fills."""

    def __init__(self, bounds: Bounds, pace: Pace) -> None:
        self.shares: list[Share] = []
        self._room = bounds.n_batch
        self._left_s = bounds.step_s_max
        self._chunk = bounds.chunk_tokens
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
        return self._pace.forecast_s(count - sampled, sampled)
