"""Who is in the KV cache: running sequences and roots, their sequence ids and their cells.

In:  prepared sequences, the limits, the planned shares.     Out: runs for the backend.
Threads: the step thread's alone. A request enters only when its prompt and its whole answer fit,
so that the cache does not run full under it.
"""

from __future__ import annotations

from collections.abc import Iterable

from edged.engine.backend import Backend, Run
from edged.engine.frames import Limits
from edged.engine.plan import Share, Waiting
from edged.engine.roots import Root, Roots, Tokens
from edged.engine.sequence import Sequence

ROOTS_MAX = 16
# Who waits for room rises by a priority in this time, as in the daemon's line.
AGE_S = 60.0


class Residents:
    """The KV cache's books.

    Attributes:
        running: sequences in the KV cache, by KV sequence id.
        waiting: sequences that are not, most urgent first.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._roots = Roots()
        self._root_at: dict[int, Root] = {}
        self._root_of: dict[int, Root] = {}
        self._free = list(range(backend.n_sequences))
        self._cells: dict[int, int] = {}
        self._arrivals = 0
        self._newest_s = 0.0
        self._is_full = False
        self.running: dict[int, Sequence] = {}
        self.waiting: list[Sequence] = []

    def n_free_ids(self) -> int:
        """Return how many KV sequence ids nobody holds."""
        return len(self._free)

    def n_roots(self) -> int:
        """Return how many roots are kept."""
        return len(self._roots)

    def add(self, sequence: Sequence) -> None:
        """Take a sequence in; it waits until `admit` finds room."""
        self._arrivals += 1
        sequence.order = self._arrivals
        self._newest_s = max(self._newest_s, sequence.arrived_s)
        self.waiting.append(sequence)

    def find(self, id: str) -> Sequence | None:
        """Return the sequence of this request, or None when it is not here any more."""
        here = [*self.waiting, *self.running.values()]
        return next((one for one in here if one.work.id == id), None)

    def are_less_urgent(self, sequence: Sequence) -> bool:
        """Return whether it is more urgent than all that run, and some do."""
        priorities = [one.work.priority for one in self.running.values()]
        return bool(priorities) and max(priorities) < sequence.work.priority

    def admit(self, limits: Limits) -> None:
        """Let waiting sequences into the KV cache, most urgent first, as far as limits and room go.

        Who waits for room rises by a priority each `AGE_S`, so that what asks for more than one
        that leaves frees is not overtaken without end.
        One whose root still fills waits for it; so a burst of requests prefills its root once.
        After the backend ran out of cells nobody enters until a sequence has left: whoever was
        parked would be back at once and fill the cache again.
        """
        self._roots.clear_wanted()
        if self._is_full and self.running:
            return
        self.waiting.sort(key=self._aged)
        for sequence in list(self.waiting):
            ahead = sum(_urgency(one) < _urgency(sequence) for one in self._active(limits))
            if ahead + self._wanting() >= limits.sequences:
                continue
            if sequence.cells <= limits.context_tokens and not self._enter(sequence, limits):
                return

    def offers(self, limits: Limits) -> list[Waiting]:
        """Return what could enter the next batch; sequences over a limit sit this step out."""
        active = sorted(self._active(limits), key=_urgency)[: limits.sequences]
        return [_of_sequence(one) for one in active if one.ending is None] + [
            _of_root(root) for root in self._roots.filling()
        ]

    def runs(self, shares: Iterable[Share]) -> list[Run]:
        """Return the batch of these shares."""
        return [self._run(share) for share in shares]

    def note(self, runs: Iterable[Run], step: int) -> None:
        """Take down that these runs are in the KV cache."""
        for run in runs:
            holder = self._root_at.get(run.sequence) or self.running[run.sequence]
            holder.n_past += len(run.tokens)
            holder.served = step

    def leave(self, sequence: Sequence) -> None:
        """Let a sequence go, wherever it is, and free its cells."""
        if sequence.kv is None:
            self.waiting.remove(sequence)
            return
        self._is_full = False
        del self.running[sequence.kv]
        root = self._root_of.pop(sequence.kv, None)
        if root is not None:
            root.users -= 1
        self._release(sequence.kv)
        sequence.kv = None

    def make_room(self) -> bool:
        """Free cells after the backend found none: an idle root, else the least urgent sequence.

        A sequence keeps its tokens and resumes later. Returns False when only one is left.
        """
        self._roots.clear_wanted()
        root = self._roots.least_used()
        if root is not None:
            self._evict(root)
        elif len(self.running) > 1:
            self._park(max(self.running.values(), key=_urgency))
        else:
            return False
        self._is_full = True
        return True

    def _park(self, sequence: Sequence) -> None:
        self.leave(sequence)
        sequence.park()
        self.waiting.append(sequence)

    def _active(self, limits: Limits) -> list[Sequence]:
        """Return those whose tokens so far fit the context granted; the others keep their cells."""
        every = self.running.values()
        return [one for one in every if len(one.tokens) <= limits.context_tokens]

    def _aged(self, sequence: Sequence) -> tuple[int, int]:
        """Return its urgency with what it has risen; only newcomers overtake, so they tell time."""
        risen = int((self._newest_s - sequence.arrived_s) / AGE_S)
        return -sequence.work.priority - risen, sequence.order

    def _wanting(self) -> int:
        return sum(1 for root in self._roots.filling())

    def _enter(self, sequence: Sequence, limits: Limits) -> bool:
        """Return whether those behind it may enter too: False when it must wait for room."""
        root = self._root_for(sequence)
        if root is not None and not root.is_ready:
            urgency = _urgency(sequence)
            root.wanted = min(root.wanted or urgency, urgency)
            return True
        shared = len(root.tokens) if root else 0
        kv = self._take(sequence.cells - shared, keep=root)
        if kv is None:
            return False
        self.waiting.remove(sequence)
        self.running[kv] = sequence
        sequence.kv = kv
        sequence.granted = sequence.granted or limits
        self._share(root, sequence)
        return True

    def _share(self, root: Root | None, sequence: Sequence) -> None:
        # Whoever made it necessary has paid for it; all others found it there.
        found = len(root.tokens) if root is not None and root.is_paid else 0
        # One that was parked counts as found only what it found each time.
        known = found if sequence.cached_tokens is None else sequence.cached_tokens
        sequence.cached_tokens = min(known, found)
        if root is None or sequence.kv is None:
            return
        self._backend.share(root.kv, sequence.kv, len(root.tokens))
        sequence.n_past = len(root.tokens)
        self._root_of[sequence.kv] = root
        root.users += 1
        root.is_paid = True

    def _root_for(self, sequence: Sequence) -> Root | None:
        """Return its root, new if need be; None when it has none or none can be kept."""
        tokens = sequence.prompt.root
        if not tokens:
            return None
        root = self._roots.find(tokens)
        return root if root is not None else self._new_root(tokens)

    def _new_root(self, tokens: Tokens) -> Root | None:
        if len(self._roots) >= ROOTS_MAX:
            oldest = self._roots.least_used()
            if oldest is None:
                return None
            self._evict(oldest)
        kv = self._take(len(tokens), keep=None)
        if kv is None:
            return None
        root = Root(tokens, kv)
        self._roots.add(root)
        self._root_at[kv] = root
        return root

    def _take(self, cells: int, *, keep: Root | None) -> int | None:
        """Reserve cells and a sequence id, evicting idle roots; None when there is no room."""
        while not self._free or sum(self._cells.values()) + cells > self._backend.n_cells:
            idle = self._roots.least_used(keep)
            if idle is None:
                return None
            self._evict(idle)
        kv = self._free.pop(0)
        self._cells[kv] = cells
        return kv

    def _evict(self, root: Root) -> None:
        self._roots.remove(root)
        del self._root_at[root.kv]
        self._release(root.kv)

    def _release(self, kv: int) -> None:
        self._backend.drop(kv)
        del self._cells[kv]
        self._free.append(kv)
        self._free.sort()

    def _run(self, share: Share) -> Run:
        holder = self._root_at.get(share.key) or self.running[share.key]
        end = holder.n_past + share.tokens
        is_sampled = isinstance(holder, Sequence) and end == len(holder.tokens)
        return Run(share.key, holder.n_past, holder.tokens[holder.n_past : end], is_sampled)


def _urgency(sequence: Sequence) -> tuple[int, int]:
    return -sequence.work.priority, sequence.order


def _of_sequence(one: Sequence) -> Waiting:
    return Waiting(
        key=one.kv or 0,
        tokens=len(one.tokens) - one.n_past,
        is_prefill=one.n_past < one.n_prefill,
        priority=one.work.priority,
        order=one.order,
        served=one.served,
        is_streamed=one.work.stream,
    )


def _of_root(root: Root) -> Waiting:
    priority, order = root.wanted or (0, 0)
    return Waiting(
        root.kv, len(root.tokens) - root.n_past, True, -priority, order, is_sampled=False
    )
