"""A conversation that is too long loses its oldest messages: the fewest that must go.

In:  a submission that was refused as `too_long`, what trials found.     Out: trials, a candidate.
Pure: a search by halves. The fewer go the longer the prompt is, so that each trial halves what is
left to look through: a thousand messages take ten trials.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edged.admission import Refused, Submission, candidate_of
from edged.errors import Refusal
from edged.spool.rows import Candidate


@dataclass(frozen=True, slots=True)
class Trim:
    """A search under way.

    Attributes:
        whole: the prompt as it came.
        refusal: why it is too long.
        tokens: of it.
        too_few: so many gone are too few.
        enough: so many gone are enough, or more than may go while there is no `best`.
        best: the longest prompt known that passes.
    """

    whole: Submission
    refusal: Refusal
    tokens: int
    too_few: int
    enough: int
    best: Candidate | None = None

    @property
    def trial(self) -> Submission | None:
        """Return what is to be tried next; None where the search is over."""
        if self.enough - self.too_few <= 1:
            return None
        return without_oldest(self.whole, self._tried)

    def passed(self, candidate: Candidate, tokens: int) -> Trim:
        """The trial passes, with so many tokens."""
        job = replace(candidate.job, trimmed_tokens=self.tokens - tokens)
        return replace(self, enough=self._tried, best=replace(candidate, job=job))

    def failed(self) -> Trim:
        """The trial is still too long."""
        return replace(self, too_few=self._tried)

    @property
    def found(self) -> Candidate | Refused:
        """Return the prompt as it is taken, or that it is refused."""
        prompt = candidate_of(self.whole, self.whole.job)
        return self.best or Refused(self.whole.sender, self.refusal, prompt)

    @property
    def _tried(self) -> int:
        return (self.too_few + self.enough) // 2


def trim_of(submission: Submission, refusal: Refusal, tokens: int) -> Trim | None:
    """Return the search for a prompt that was refused; None where it stays refused."""
    if not is_trimmable(submission) or refusal.reason != "too_long":
        return None
    return Trim(submission, refusal, tokens, too_few=0, enough=len(_places(submission)) + 1)


def is_trimmable(submission: Submission) -> bool:
    """Return whether a prompt asks to be trimmed, and has messages that may go."""
    return submission.request.on_long == "trim" and bool(_places(submission))


def without_oldest(submission: Submission, count: int) -> Submission:
    """Return a prompt without its oldest messages; whole ones go."""
    gone = set(_places(submission)[:count])
    messages = enumerate(submission.job.prompt.messages)
    kept = tuple(turn for place, turn in messages if place not in gone)
    prompt = replace(submission.job.prompt, messages=kept)
    return replace(submission, job=replace(submission.job, prompt=prompt))


def _places(submission: Submission) -> list[int]:
    """Return which messages may go, oldest first: never one of role system, never the last."""
    turns = submission.job.prompt.messages[:-1]
    return [place for place, turn in enumerate(turns) if turn.role != "system"]
