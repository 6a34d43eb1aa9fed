"""Template roots: each prefilled once, then shared by every request that begins with it.

In:  the root tokens of requests.     Out: `Root`s that fill, are ready, and leave when unused.
Pure bookkeeping; the KV cells are the residents'. Does not know: batches, schemas.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Tokens = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Root:
    """A constant prompt part in the KV cache.

    Attributes:
        n_past: how many of its tokens are prefilled.
        users: running sequences that share its cells.
        is_paid: whether a request has counted its prefill as its own.
        used: number of the last use; the smallest leaves first.
        wanted: urgency of the first request that waits for it; None when none does.
    """

    tokens: Tokens
    kv: int
    n_past: int = 0
    users: int = 0
    is_paid: bool = False
    used: int = 0
    served: int = 0
    wanted: tuple[int, int] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether all of it is prefilled."""
        return self.n_past == len(self.tokens)


@dataclass(slots=True)
class Roots:
    """The roots in the KV cache, by their tokens."""

    _known: dict[Tokens, Root] = field(default_factory=dict)
    _uses: int = 0

    def find(self, tokens: Tokens) -> Root | None:
        """Return the root with these tokens, and note the use."""
        root = self._known.get(tokens)
        if root is not None:
            self._uses += 1
            root.used = self._uses
        return root

    def add(self, root: Root) -> None:
        """Take a new root in."""
        self._known[root.tokens] = root
        self.find(root.tokens)

    def remove(self, root: Root) -> None:
        """Forget a root."""
        del self._known[root.tokens]

    def filling(self) -> Iterable[Root]:
        """Return the roots that requests wait for and that are not ready."""
        return [root for root in self._known.values() if root.wanted and not root.is_ready]

    def clear_wanted(self) -> None:
        """Forget who waits; asked anew before every step."""
        for root in self._known.values():
            root.wanted = None

    def least_used(self, keep: Root | None = None) -> Root | None:
        """Return the root that may leave first: not one in use, wanted, or to `keep`."""
        idle = [one for one in self._known.values() if not one.users and not one.wanted]
        return min((one for one in idle if one is not keep), key=_use, default=None)

    def __len__(self) -> int:
        return len(self._known)


def _use(root: Root) -> int:
    return root.used
