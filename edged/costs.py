"""What a prompt will cost, before it runs: joules by its tokens, learned from answers.

In:  tokens of a prompt and the most that it may answer, the joules that answers took.
Out: joules above idle, forecast.
Pure. The scheduler shares the board by them; they hold no budget, the governor's forecast does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

# What the newest answer counts.
LEARNED_SHARE = 0.2
# One answer with much company or little must not teach ten times the cost.
OFF_MIN, OFF_MAX = 0.25, 4.0
# Below this a cost would be a share of nothing; far under the joules of any token.
TOKEN_J_MIN = 1e-9


class Counted(Protocol):
    """Whatever knows its tokens: a job, a row. None: the engine did not say in time."""

    @property
    def prompt_tokens(self) -> int | None:
        """Of the prompt."""

    @property
    def answer_tokens(self) -> int | None:
        """The most that it may answer."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Learned joules above idle. Until an answer taught them, only their ratios mean anything.

    Attributes:
        prompt_j: per prompt token.
        answer_j: per token that the answer may have; most answers have fewer.
        mean_j: of an answer, where nobody counted its tokens.
    """

    prompt_j: float = 0.0005
    answer_j: float = 0.0025
    mean_j: float = 0.1

    def forecast_j(self, counted: Counted) -> float:
        """Return the joules that a prompt will take."""
        if counted.prompt_tokens is None or counted.answer_tokens is None:
            return self.mean_j
        prompt_j = self.prompt_j * counted.prompt_tokens
        return max(TOKEN_J_MIN, prompt_j + self.answer_j * counted.answer_tokens)

    def learned(self, counted: Counted, measured_j: float) -> Costs:
        """Return the costs after one more answer; each part takes its share of the blame."""
        if measured_j <= 0:
            return self
        mean_j = self.mean_j + LEARNED_SHARE * (measured_j - self.mean_j)
        if counted.prompt_tokens is None or counted.answer_tokens is None:
            return Costs(self.prompt_j, self.answer_j, mean_j)
        expected_j = self.forecast_j(counted)
        off = min(OFF_MAX, max(OFF_MIN, measured_j / expected_j))
        blame = LEARNED_SHARE * (off - 1) / expected_j
        return Costs(
            self.prompt_j * (1 + blame * counted.prompt_tokens * self.prompt_j),
            self.answer_j * (1 + blame * counted.answer_tokens * self.answer_j),
            mean_j,
        )
