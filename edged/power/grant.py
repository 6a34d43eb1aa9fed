"""How much context and how many sequences a request gets: the energy forecast, as the user asked.

In:  what the request wants and until when, what the board can give under its limits.
Out: context tokens, sequences, and the reason where it is less than was configured; or when to try
again.
Pure. Context and sequences set joules and seconds of each request; they do not hold watts, clocks
and pauses do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edged.power.forecast import Forecast


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request wants.

    Attributes:
        prompt_tokens, output_tokens: the whole prompt, and the most it may answer.
        left_s: seconds until its deadline.
        is_trimmable: whether a shorter context is of use to it.
    """

    prompt_tokens: int
    output_tokens: int
    left_s: float
    is_trimmable: bool = True


@dataclass(frozen=True, slots=True)
class Supply:
    """What the board gives from now on.

    Attributes:
        point: operating point in force.
        duty: share of time that steps run there under the limits, above 0.
        step_s_max: longest step planned.
        context_tokens_max, sequences_max: as configured.
        ahead_s: board seconds of work in front of this request.
    """

    point: int
    duty: float
    step_s_max: float
    context_tokens_max: int
    sequences_max: int
    ahead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Granted:
    """What one request gets.

    Attributes:
        context_tokens: prompt plus answer; 0 when it cannot be served in time.
        sequences: how many may share the batch with it so that it is in time.
        joules, seconds: forecast of the request at the board's input and until its answer.
        throttled: the reason where it is less than configured; None where it is not.
        retry_after_s: when the same request can be served; None when it can be now, or never.
    """

    context_tokens: int
    sequences: int
    joules: float
    seconds: float
    throttled: str | None = None
    retry_after_s: float | None = None


def alike_s(ask: Ask, supply: Supply, forecast: Forecast) -> float:
    """Return the board seconds of one such request among a full batch: its share of each step."""
    sequences = supply.sequences_max
    own = replace(supply, duty=1.0, ahead_s=0.0)
    prefill_s, _ = _cost(ask.prompt_tokens, 0, 1, own, forecast)
    both_s, _ = _cost(ask.prompt_tokens, ask.output_tokens, 1, own, forecast)
    alone_s = forecast.decode_s(forecast.points[supply.point], 1)
    shared_s = forecast.decode_s(forecast.points[supply.point], sequences) / sequences
    return prefill_s + (both_s - prefill_s) * shared_s / alone_s


def grant_request(ask: Ask, supply: Supply, forecast: Forecast) -> Granted:
    """Return the largest grant with which the answer comes before the deadline.

    Sequences are given up first: an answer alone in the batch is the fastest. Then context.
    """
    prompt = min(ask.prompt_tokens, max(0, supply.context_tokens_max - ask.output_tokens))
    for sequences in range(supply.sequences_max, 0, -1):
        seconds, joules = _cost(prompt, ask.output_tokens, sequences, supply, forecast)
        if seconds <= ask.left_s:
            return _given(ask, supply, prompt, sequences, seconds, joules)
    if ask.is_trimmable:
        shorter = _longest_prompt(ask, supply, forecast, prompt)
        if shorter is not None:
            seconds, joules = _cost(shorter, ask.output_tokens, 1, supply, forecast)
            return _given(ask, supply, shorter, 1, seconds, joules)
    return _refused(ask, supply, prompt, forecast)


def _cost(
    prompt: int, output: int, sequences: int, supply: Supply, forecast: Forecast
) -> tuple[float, float]:
    """Return seconds until the answer and joules of one request among so many sequences."""
    point = forecast.points[supply.point]
    chunk = forecast.chunk_tokens(point, supply.step_s_max)
    prefill_s = math.ceil(prompt / chunk) * forecast.prefill_s(point, chunk)
    decode_s = output * forecast.decode_s(point, sequences)
    # Each neighbour's prefill stands in its way once; its share of a decode step is its own.
    seconds = (supply.ahead_s + sequences * prefill_s + decode_s) / supply.duty
    joules = prefill_s * forecast.step_w(point, "prefill")
    joules += decode_s / sequences * forecast.step_w(point, "decode")
    return seconds, joules


def _given(
    ask: Ask, supply: Supply, prompt: int, sequences: int, seconds: float, joules: float
) -> Granted:
    context = supply.context_tokens_max
    reasons = []
    if prompt < min(ask.prompt_tokens, context - ask.output_tokens):
        context = prompt + ask.output_tokens
        reasons.append(f"{context} of {supply.context_tokens_max} context tokens")
    if sequences < supply.sequences_max:
        reasons.append(f"{sequences} of {supply.sequences_max} sequences")
    why = None
    if reasons:
        why = f"{' and '.join(reasons)}: {joules:.1f} J in {ask.left_s:.1f} s until the deadline"
    return Granted(context, sequences, joules, seconds, why)


def _longest_prompt(ask: Ask, supply: Supply, forecast: Forecast, prompt: int) -> int | None:
    """Return the longest prompt, in whole chunks, that is answered in time alone in the batch."""
    point = forecast.points[supply.point]
    chunk = forecast.chunk_tokens(point, supply.step_s_max)
    for shorter in range((prompt - 1) // chunk * chunk, 0, -chunk):
        if _cost(shorter, ask.output_tokens, 1, supply, forecast)[0] <= ask.left_s:
            return shorter
    return None


def _refused(ask: Ask, supply: Supply, prompt: int, forecast: Forecast) -> Granted:
    seconds, joules = _cost(prompt, ask.output_tokens, 1, supply, forecast)
    alone_s = seconds - supply.ahead_s / supply.duty
    why = f"the answer needs {seconds:.1f} s and {joules:.1f} J, {ask.left_s:.1f} s are left"
    retry_s = supply.ahead_s / supply.duty if alone_s <= ask.left_s else None
    return Granted(0, 0, joules, seconds, why, retry_s)
