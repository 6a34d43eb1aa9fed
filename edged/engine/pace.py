"""How long a step takes: fixed seconds, and more for each token; learned from the steps.

In:  what was in a batch, the seconds it took.     Out: forecasts.
Pure. A step reads all weights once, however many tokens share them: that part is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

# What the newest step counts.
LEARNED_SHARE = 0.2
# One step that waited for the CPU must not teach ten times the pace.
OFF_MIN, OFF_MAX = 0.25, 4.0
# A pace of nothing would be a forecast of any number of tokens.
TOKEN_S_MIN = 1e-7


@dataclass(frozen=True, slots=True)
class Pace:
    """Measured seconds, learned from the steps.

    Attributes:
        prefill_s: per prompt or forced token.
        decode_s: per sequence that gets a token sampled.
        fixed_s: of every step, whatever is in it.
    """

    prefill_s: float
    decode_s: float
    fixed_s: float = 0.0

    def tokens_s(self, prefill_tokens: int, decode_tokens: int) -> float:
        """Return what so many tokens add to a step."""
        return prefill_tokens * self.prefill_s + decode_tokens * self.decode_s

    def forecast_s(self, prefill_tokens: int, decode_tokens: int) -> float:
        """Return how long a step of so many tokens takes."""
        return self.fixed_s + self.tokens_s(prefill_tokens, decode_tokens)

    def learned(self, prefill_tokens: int, decode_tokens: int, step_s: float) -> Pace:
        """Return the pace after one more step; each part takes its share of the blame."""
        expected_s = self.forecast_s(prefill_tokens, decode_tokens)
        if expected_s <= 0 or step_s <= 0:
            return self
        off = min(OFF_MAX, max(OFF_MIN, step_s / expected_s))
        blame = LEARNED_SHARE * (off - 1) / expected_s
        return Pace(
            self.prefill_s * (1 + blame * prefill_tokens * self.prefill_s),
            self.decode_s * (1 + blame * decode_tokens * self.decode_s),
            self.fixed_s * (1 + blame * self.fixed_s),
        )


@dataclass(frozen=True, slots=True)
class Timed:
    """A batch and the seconds that it took."""

    tokens: int
    took_s: float


def fitted(few: Timed, many: Timed, rows: Timed) -> Pace:
    """Return the pace behind three batches.

    Args:
        few: a prefill of one sequence.
        many: a longer one.
        rows: one sampled token of each of several sequences.
    """
    even_s = many.took_s / many.tokens
    slope_s = (many.took_s - few.took_s) / max(1, many.tokens - few.tokens)
    # One of two short measurements may have waited for the CPU.
    prefill_s = max(TOKEN_S_MIN, min(even_s, max(slope_s, OFF_MIN * even_s)))
    fixed_s = max(0.0, many.took_s - many.tokens * prefill_s)
    decode_s = (rows.took_s - fixed_s) / rows.tokens
    # A sampled token costs what any token does, and the output matrix.
    return Pace(prefill_s, max(prefill_s, decode_s), fixed_s)
