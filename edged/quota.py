"""How much each client may ask: tokens and joules of each minute, and prompts at once.

In:  what a prompt will take at most, what an answer took, the time.     Out: nothing, or when the
same prompt would be taken.
Pure but for `Quotas`, which keeps the buckets. They live in memory: after a restart all are full.
Does not know: prompts, rows, MQTT.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from edged.config.tables import Quota

MINUTE_S = 60.0
# A share of a bucket that only the rounding of its seconds can be short of.
ROUNDING = 1e-9
# Clients whose buckets are kept; a bucket that is full again would say nothing, and these are the
# longest not heard of.
CLIENTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left of an amount for each minute; it fills evenly.

    Attributes:
        per_minute: the amount, and the most it holds.
        left: below 0 where an answer took more than was forecast, or more than it holds.
        at_s: when that was so.
    """

    per_minute: float
    left: float
    at_s: float

    def now(self, now_s: float) -> Bucket:
        """Return the bucket as it is at `now_s`."""
        filled = max(0.0, now_s - self.at_s) * self.per_minute / MINUTE_S
        return replace(self, left=min(self.per_minute, self.left + filled), at_s=now_s)

    def wait_s(self, amount: float) -> float:
        """Return in how many seconds `amount` is there; more than it holds takes a full one."""
        short = min(amount, self.per_minute) - self.left
        return short * MINUTE_S / self.per_minute if short > ROUNDING * self.per_minute else 0.0

    def less(self, amount: float) -> Bucket:
        """Return the bucket without `amount`; a negative one comes back, as far as it holds."""
        return replace(self, left=min(self.per_minute, self.left - amount))


@dataclass(frozen=True, slots=True)
class Use:
    """What a prompt takes."""

    tokens: float
    joules: float

    def __sub__(self, other: Use) -> Use:
        return Use(self.tokens - other.tokens, self.joules - other.joules)


NOTHING = Use(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Purse:
    """The buckets of one client; None where nothing bounds it."""

    tokens: Bucket | None
    joules: Bucket | None

    def now(self, now_s: float) -> Purse:
        """Return the purse as it is at `now_s`."""
        return Purse(
            None if self.tokens is None else self.tokens.now(now_s),
            None if self.joules is None else self.joules.now(now_s),
        )

    def less(self, use: Use) -> Purse:
        """Return the purse without what a prompt takes."""
        return Purse(
            None if self.tokens is None else self.tokens.less(use.tokens),
            None if self.joules is None else self.joules.less(use.joules),
        )

    def short(self, use: Use) -> Short | None:
        """Return what keeps a prompt out, the longest wait first; None where nothing does."""
        waits = []
        if self.tokens is not None:
            waits.append(Short("tokens_per_minute", self.tokens, self.tokens.wait_s(use.tokens)))
        if self.joules is not None:
            waits.append(Short("joules_per_minute", self.joules, self.joules.wait_s(use.joules)))
        longest = max(waits, key=lambda one: one.wait_s, default=None)
        return longest if longest is not None and longest.wait_s > 0 else None


@dataclass(frozen=True, slots=True)
class Short:
    """A key of the quota that keeps a prompt out, and for how long."""

    key: str
    bucket: Bucket
    wait_s: float


class Quotas:
    """The purses of all clients, and what the prompts that are unfinished were charged with.

    Args:
        quota: what the configuration says of a client.
        clock: seconds that never run backwards.
    """

    def __init__(self, quota: Callable[[str], Quota], clock: Callable[[], float]) -> None:
        self._quota = quota
        self._clock = clock
        self._purses: OrderedDict[str, Purse] = OrderedDict()
        self._charged: dict[int, tuple[str, Use]] = {}

    def of(self, client: str) -> Quota:
        """Return what the configuration says of a client."""
        return self._quota(client)

    def short(self, client: str, use: Use) -> Short | None:
        """Return what keeps a prompt of a client out; None where nothing does."""
        return self._purse(client).short(use) if self._bounds(client) else None

    def take(self, client: str, use: Use) -> None:
        """Charge a client; a negative use comes back."""
        if not self._bounds(client):
            return
        self._purses[client] = self._purse(client).less(use)
        self._purses.move_to_end(client)
        if len(self._purses) > CLIENTS_MAX:
            self._purses.popitem(last=False)

    def begun(self, serial: int, client: str, use: Use) -> None:
        """Take down what an accepted prompt was charged with."""
        self._charged[serial] = (client, use)

    def ended(self, serial: int, took: Use = NOTHING) -> None:
        """Give back what a prompt did not take, or charge what it took over; once for each."""
        if serial in self._charged:
            client, charged = self._charged.pop(serial)
            self.take(client, took - charged)

    def _bounds(self, client: str) -> bool:
        """Return whether a client has a quota of each minute."""
        quota = self._quota(client)
        return quota.tokens_per_minute is not None or quota.joules_per_minute is not None

    def _purse(self, client: str) -> Purse:
        now_s = self._clock()
        known = self._purses.get(client)
        return _full(self._quota(client), now_s) if known is None else known.now(now_s)


def _full(quota: Quota, now_s: float) -> Purse:
    tokens, joules = quota.tokens_per_minute, quota.joules_per_minute
    return Purse(
        None if tokens is None else Bucket(tokens, tokens, now_s),
        None if joules is None else Bucket(joules, joules, now_s),
    )
