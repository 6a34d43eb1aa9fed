"""Who may have how much in the spool: admitted prompts against the quota of their client.

In:  candidates that the engine can serve.     Out: those that are taken, charged; refusals of the
others with the seconds until the same prompt would be taken.
A copy of a prompt that is known is never refused here: it takes nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edged.errors import Refusal
from edged.line import Line
from edged.quota import NOTHING, Quotas, Use
from edged.spool.queue import Spool
from edged.spool.rows import Candidate, Fresh, Verdict

# Where nobody knows yet how long an answer takes.
UNKNOWN_RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Charged:
    """A candidate, and what its client was charged with for it."""

    candidate: Candidate
    use: Use


class Entry:
    """The quotas at the spool's door."""

    def __init__(self, spool: Spool, line: Line, quotas: Quotas) -> None:
        self._spool = spool
        self._line = line
        self._quotas = quotas

    async def judge(
        self, candidates: Sequence[Candidate], sequences: int
    ) -> list[Charged | Refusal]:
        """Return what becomes of each candidate, in their order; `sequences` share the batch.

        Only where one is over its quota is the disk asked which of them are copies of prompts
        that have their outcome: then those take nothing, and all are judged anew.
        """
        judged = self._judged(candidates, sequences, [False] * len(candidates))
        if not any(isinstance(one, Refusal) for one in judged):
            return judged
        for one in judged:
            if isinstance(one, Charged):
                self._quotas.take(one.candidate.client, NOTHING - one.use)
        return self._judged(candidates, sequences, await self._spool.knows(candidates))

    def settle(self, charged: Sequence[Charged], verdicts: Sequence[Verdict]) -> None:
        """Keep the charges of new rows; give back those of copies."""
        for one, verdict in zip(charged, verdicts, strict=True):
            if not isinstance(verdict, Fresh):
                self._quotas.take(one.candidate.client, NOTHING - one.use)
                continue
            self._quotas.begun(verdict.row.serial, one.candidate.client, one.use)

    def _judged(
        self, candidates: Sequence[Candidate], sequences: int, are_known: Sequence[bool]
    ) -> list[Charged | Refusal]:
        """Return what becomes of candidates; those taken are charged, copies with nothing."""
        fresh: set[tuple[str, str]] = set()
        taken = Counter[str]()
        judged: list[Charged | Refusal] = []
        for candidate, is_known in zip(candidates, are_known, strict=True):
            client, id = candidate.client, candidate.id
            if is_known or (client, id) in fresh or self._spool.rows.find(client, id) is not None:
                judged.append(Charged(candidate, NOTHING))
                continue
            use = self._use(candidate)
            refusal = self._refusal(client, use, taken[client], sequences)
            if refusal is None:
                self._quotas.take(client, use)
                fresh.add((client, id))
                taken[client] += 1
            judged.append(refusal or Charged(candidate, use))
        return judged

    def _refusal(self, client: str, use: Use, taken: int, sequences: int) -> Refusal | None:
        """Return why a prompt is not taken; so many of its client were, of the same group."""
        limit = self._quotas.of(client).outstanding_max
        unfinished = self._spool.rows.count_of(client) + taken
        if unfinished >= limit:
            # Clients take turns, so one of its own ends about once in a round of them all.
            relief_s = self._line.relief_s(sequences)
            rounds = max(1, self._spool.rows.clients)
            retry_s = UNKNOWN_RETRY_S if relief_s is None else math.ceil(relief_s * rounds)
            detail = f"{client} has {unfinished} unfinished prompts"
            return Refusal("quota", f"{detail}, limit outstanding_max = {limit}", retry_s)
        short = self._quotas.short(client, use)
        if short is None:
            return None
        left = f"{max(0.0, short.bucket.left):.6g} left of {short.bucket.per_minute:.6g}"
        detail = f"{client}: {left}, limit {short.key}; wait, or ask for a shorter answer"
        return Refusal("quota", detail, math.ceil(short.wait_s))

    def _use(self, candidate: Candidate) -> Use:
        """Return the most tokens that a prompt may take, and the joules that are expected."""
        job = candidate.job
        tokens = (job.prompt_tokens or 0) + (job.answer_tokens or 0)
        return Use(tokens, self._line.forecast_j(job))
