"""The arithmetic of the benchmark, and its report for people and machines.

In:  `Run`s.     Out: medians, spreads, ratios of pairs, shares of the compute bound.
Pure. A pair is edged and a peer in the same repetition of the same workload: what the machine did
to one it did to the other. A median of ratios of pairs is therefore steadier than one of medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edged.bench.inside import Inside
from edged.bench.system import Answer, PeerFailed, Run

UNIT = "answers/s"
BOUND_WORKLOADS = ("json-cold", "json-warm")


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and its extremes."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return it for at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Need:
    """What a workload cannot do without, whoever runs it.

    Attributes:
        kv_tokens: that must enter the KV cache: each template's root once, where it is cold; each
            prompt's own tokens; each answer but its last token.
        rows: tokens that must be sampled: those that the schema does not force.
    """

    kv_tokens: int
    rows: int

    def bound(self, answers: int, inside: Inside) -> float:
        """Return the answers per second of a machine that does nothing else."""
        return answers / (self.kv_tokens / inside.prefill_tokens_per_s + self.rows * inside.row_s)


def check_same_prompts(runs: Iterable[Run]) -> None:
    """Check that all systems made the same number of tokens of each prompt.

    Raises:
        PeerFailed: they did not, so they did not do the same work.
    """
    seen: dict[tuple[int, int], tuple[str, int]] = {}
    for run in runs:
        for place, answer in enumerate(run.answers):
            first = (run.system, answer.prompt_tokens)
            system, tokens = seen.setdefault((run.repetition, place), first)
            if tokens != answer.prompt_tokens:
                raise PeerFailed(
                    f"{run.workload}: {system} has {tokens} tokens of a prompt, {run.system} "
                    f"{answer.prompt_tokens}: their times cannot be compared"
                )


def need(answers: Sequence[Answer], roots: int) -> Need:
    """Return the need of edged's answers; `roots` of them had to be made."""
    root = max((answer.cached_tokens for answer in answers), default=0)
    own = sum(answer.prompt_tokens - root for answer in answers)
    return Need(
        kv_tokens=roots * root + own + sum(answer.output_tokens - 1 for answer in answers),
        rows=sum(answer.output_tokens - answer.forced_tokens for answer in answers),
    )


def best_variants(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of one workload by system, each by its best variant's."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.system, run.variant), []).append(run)
    best: dict[str, list[Run]] = {}
    for (system, _), own in groups.items():
        if system not in best or _rate(own).median > _rate(best[system]).median:
            best[system] = own
    return best


def pair_ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> Spread:
    """Return how many times as fast we are, pair by pair."""
    by_repetition = {run.repetition: run for run in theirs}
    return Spread.of(
        [
            run.rate / by_repetition[run.repetition].rate
            for run in ours
            if run.repetition in by_repetition
        ]
    )


def right_share(runs: Iterable[Run]) -> float:
    """Return the share of right answers."""
    every = list(runs)
    return sum(run.right for run in every) / sum(len(run.answers) for run in every)


def cpu_s_per_answer(runs: Sequence[Run]) -> float:
    """Return the median CPU seconds of one answer."""
    return statistics.median(run.cpu_s / len(run.answers) for run in runs)


def workload_report(
    runs: Sequence[Run], roots: int, inside: Inside, *, is_scripted: bool
) -> dict[str, Any]:
    """Return one workload's part of the report.

    Args:
        runs: of all systems and repetitions; edged's among them.
        roots: templates that had to be computed.
        inside: what bounds this machine.
        is_scripted: whether the model knows the right answers; else `right` is null.
    """
    best = best_variants(runs)
    ours = best.pop("edged")
    named = {"edged": ours, **best}
    answers = ours[0].answers
    bound = need(answers, roots).bound(len(answers), inside)
    rates = {system: _rate(own) for system, own in named.items()}
    right = {system: round(right_share(own), 4) for system, own in named.items()}
    ratios = {system: pair_ratio(ours, theirs) for system, theirs in best.items()}
    return {
        "unit": UNIT,
        "n": len(ours),
        "prompts": len(answers),
        "edged": round(rates["edged"].median, 3),
        "peers": {system: round(rates[system].median, 3) for system in best},
        "variants": {system: theirs[0].variant for system, theirs in best.items()},
        "spread": {system: _extremes(spread) for system, spread in rates.items()},
        "ratio": {system: round(spread.median, 3) for system, spread in ratios.items()},
        "ratio_spread": {system: _extremes(spread) for system, spread in ratios.items()},
        "right": min(right.values()) if is_scripted else None,
        "right_by_system": right if is_scripted else None,
        "cpu_seconds_per_answer": {
            system: round(cpu_s_per_answer(own), 4) for system, own in named.items()
        },
        "tokens": _tokens(named),
        "bound": round(bound, 3),
        "bound_share": round(rates["edged"].median / bound, 4),
    }


def compute_bound_share(workloads: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Return the lower share of json-cold and json-warm; None unless both ran."""
    shares = [workloads[name]["bound_share"] for name in BOUND_WORKLOADS if name in workloads]
    return min(shares) if len(shares) == len(BOUND_WORKLOADS) else None


def _rate(runs: Sequence[Run]) -> Spread:
    return Spread.of([run.rate for run in runs])


def _extremes(spread: Spread) -> list[float]:
    return [round(spread.least, 3), round(spread.most, 3)]


def _tokens(named: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, int]]:
    """Return the first answer's tokens by system: the same for all, or the comparison is not."""
    return {
        system: {"prompt": first.prompt_tokens, "answer": first.output_tokens}
        for system, first in ((system, runs[0].answers[0]) for system, runs in named.items())
    }
