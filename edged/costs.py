"""What a prompt will take, before it runs: joules or seconds by its tokens, learned from answers.

In:  tokens of a prompt and the most that it may answer, what answers took.
Out: what a prompt will take, in the same unit.
Pure. The scheduler shares the board by the joules (above idle), and devices are told the seconds;
they hold no budget, the governor's forecast does.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

# What the newest answer counts.
LEARNED_SHARE = 0.2
# One answer with much company or little must not teach ten times the cost.
OFF_MIN, OFF_MAX = 0.25, 4.0
# Below this a cost would be a share of nothing; far under what any token takes.
COST_MIN = 1e-9
# Before answers teach better, a token of the answer counts like so many of the prompt.
ANSWER_WEIGHT = 5.0
# What one answer may say of its client, at most; and so many clients are remembered.
RATIO_MAX = 100.0
CLIENTS_MAX = 1000
# Of a first answer that nobody counted; the next ones teach better.
UNCOUNTED_TOKENS = 100


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
    """Learned costs in one unit, joules or seconds.

    Attributes:
        per_prompt_token: of the prompt.
        per_answer_token: of those that the answer may have; most answers have fewer.
        mean: of an answer, where nobody counted its tokens.
    """

    per_prompt_token: float
    per_answer_token: float
    mean: float

    @staticmethod
    def of(counted: Counted, measured: float) -> Costs:
        """Return the costs that a first answer teaches."""
        prompt = counted.prompt_tokens or UNCOUNTED_TOKENS
        answer = counted.answer_tokens or UNCOUNTED_TOKENS
        per_prompt_token = max(COST_MIN, measured / (prompt + ANSWER_WEIGHT * answer))
        return Costs(per_prompt_token, ANSWER_WEIGHT * per_prompt_token, measured)

    def forecast(self, counted: Counted) -> float:
        """Return what a prompt will take."""
        if counted.prompt_tokens is None or counted.answer_tokens is None:
            return self.mean
        prompt = self.per_prompt_token * counted.prompt_tokens
        return max(COST_MIN, prompt + self.per_answer_token * counted.answer_tokens)

    def learned(self, counted: Counted, measured: float) -> Costs:
        """Return the costs after one more answer; each part takes its share of the blame."""
        if measured <= 0:
            return self
        mean = self.mean + LEARNED_SHARE * (measured - self.mean)
        if counted.prompt_tokens is None or counted.answer_tokens is None:
            return Costs(self.per_prompt_token, self.per_answer_token, mean)
        expected = self.forecast(counted)
        off = min(OFF_MAX, max(OFF_MIN, measured / expected))
        blame = LEARNED_SHARE * (off - 1) / expected
        prompt, answer = self.per_prompt_token, self.per_answer_token
        return Costs(
            prompt * (1 + blame * counted.prompt_tokens * prompt),
            answer * (1 + blame * counted.answer_tokens * answer),
            mean,
        )


# Until an answer taught them, only their ratios mean anything: all clients are charged alike.
JOULES = Costs(0.0005, 0.0025, 0.1)


class Ratios:
    """What each client's answers take of what such prompts are forecast to take.

    One whose answers end early would else be charged for the longest that it may get, and another
    whose answers do not would have more of the board.
    """

    def __init__(self) -> None:
        self._ratios: OrderedDict[str, float] = OrderedDict()

    def of(self, client: str) -> float:
        """Return a client's ratio; 1 for one that nothing is known of."""
        return self._ratios.get(client, 1.0)

    def learn(self, client: str, forecast: float, measured: float) -> None:
        """Take what an answer took; forecasts are off by factors, so factors are learned."""
        if measured <= 0:
            return
        before = self.of(client)
        off = min(RATIO_MAX, max(1 / RATIO_MAX, measured / (before * forecast)))
        self._ratios[client] = before * off**LEARNED_SHARE
        self._ratios.move_to_end(client)
        if len(self._ratios) > CLIENTS_MAX:
            self._ratios.popitem(last=False)
