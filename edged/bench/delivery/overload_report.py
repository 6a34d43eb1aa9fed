"""What a board did under more than it can answer, as figures, and what each should reach.

In:  the books of the parts.     Out: the JSON object; judged lines.
Pure.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from edged.bench.delivery.overload import URGENT, Books, Name, Overload
from edged.bench.delivery.report import Line

# What the urgent may lose by all others, beside the step that is under way when one comes.
URGENT_RATIO = 1.3
SAMPLES_MIN = 300
# The moments are drawn: their number is not quite what is asked for.
LOAD_SHARE_MIN = 1.45
# Of the daemon's memory, from the second quarter of the loaded part to the last one.
GROWTH_SHARE_MAX = 0.05


def figures(found: Overload) -> dict[str, Any]:
    """Return the JSON object."""
    events = _events(found.loaded)
    return {
        "capacity_per_s": round(found.capacity_per_s, 2),
        "offered_per_s": round(found.offered_per_s, 2),
        "load_share": round(found.offered_per_s / found.capacity_per_s, 3),
        "urgent_alone": _times(found.alone),
        "urgent_loaded": _times(found.loaded),
        "step_s": round(step_s(found.loaded), 4),
        "urgent_p99_bound_s": round(bound_s(found), 4),
        "asked": len(found.loaded.asked),
        "ended": dict(sorted(events.items())),
        "without_reply": found.loaded.open,
        "with_two_ends": with_two_ends(found.loaded),
        "refusals_unexplained": unexplained(found.loaded),
        "memory_bytes": found.loaded.memory_bytes[-1],
        "memory_growth_share": round(growth_share(found.loaded.memory_bytes), 4),
    }


def lines(found: Overload) -> list[Line]:
    """Return what was measured, each figure beside what it should reach."""
    alone, loaded = urgent_s(found.alone), urgent_s(found.loaded)
    load, most_s = found.offered_per_s / found.capacity_per_s, bound_s(found)
    events = ", ".join(f"{count:,} {name}" for name, count in _events(found.loaded).most_common())
    unheard, twice, bare = found.loaded.open, with_two_ends(found.loaded), unexplained(found.loaded)
    growth, least = growth_share(found.loaded.memory_bytes), min(len(alone), len(loaded))
    reach = f"<= {most_s * 1000:.1f} ms ({URGENT_RATIO} times and a step)"
    is_loaded, is_flat = load > LOAD_SHARE_MIN, growth <= GROWTH_SHARE_MAX
    return [
        Line("answers/s, always enough to do", f"{found.capacity_per_s:.1f}"),
        Line("load, of that", f"{load:.2f}", f">= {LOAD_SHARE_MIN}", is_loaded),
        Line("urgent prompts", f"{least}", f">= {SAMPLES_MIN}", least >= SAMPLES_MIN),
        Line("urgent, alone: p99", f"{p99(alone) * 1000:.1f} ms"),
        Line("urgent, alone: p99 of timing.total_s", f"{p99(told_s(found.alone)) * 1000:.1f} ms"),
        Line("step beside others, median", f"{step_s(found.loaded) * 1000:.1f} ms"),
        Line("urgent, loaded: p99", f"{p99(loaded) * 1000:.1f} ms", reach, p99(loaded) <= most_s),
        Line("urgent, loaded: p99 of timing.total_s", f"{p99(told_s(found.loaded)) * 1000:.1f} ms"),
        Line("what the prompts became", events),
        Line("prompts without a reply", f"{unheard}", "0", unheard == 0),
        Line("prompts with two ends", f"{twice}", "0", twice == 0),
        Line("refusals without reason or time", f"{bare}", "0", bare == 0),
        Line("growth of memory", f"{growth:.3f}", f"<= {GROWTH_SHARE_MAX}", is_flat),
    ]


def urgent_s(books: Books) -> list[float]:
    """Return the seconds of each urgent prompt that has its answer."""
    return [books.took_s(name) for name in _urgent_answers(books)]


def told_s(books: Books) -> list[float]:
    """Return the seconds that the board itself says of them.

    They begin with the commit that accepts a prompt, and end before that of its outcome.
    """
    return [answer["timing"]["total_s"] for answer in _urgent_answers(books).values()]


def _urgent_answers(books: Books) -> dict[Name, dict[str, Any]]:
    replies = {name: ends[0].reply for name, ends in books.ends.items() if name[0] == URGENT}
    return {name: reply for name, reply in replies.items() if reply["event"] == "done"}


def p99(values: Sequence[float]) -> float:
    """Return what 99 of 100 values are at or under.

    Raises:
        ValueError: there are fewer than two.
    """
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def step_s(books: Books) -> float:
    """Return the median seconds from one token of a usual answer to its next."""
    replies = (ends[0].reply for name, ends in books.ends.items() if name[0] != URGENT)
    steps_s: list[float] = [
        (reply["timing"]["total_s"] - reply["timing"]["ttft_s"])
        / (reply["usage"]["output_tokens"] - 1)
        for reply in replies
        if reply["event"] == "done"
    ]
    return statistics.median(steps_s)


def bound_s(found: Overload) -> float:
    """Return what the urgent prompts' p99 should stay within under load, s."""
    return URGENT_RATIO * p99(urgent_s(found.alone)) + step_s(found.loaded)


def with_two_ends(books: Books) -> int:
    """Return how many prompts had two ends that differ."""
    return sum(len({heard.payload for heard in ends}) > 1 for ends in books.ends.values())


def unexplained(books: Books) -> int:
    """Return how many refusals lack their reason, or when to try again."""
    replies = (heard.reply for ends in books.ends.values() for heard in ends)
    refused = [reply for reply in replies if reply["event"] == "refused"]
    return sum(not reply.get("reason") or "retry_after_s" not in reply for reply in refused)


def growth_share(memory_bytes: Sequence[int]) -> float:
    """Return by what share memory grew, from the second quarter of the samples to the last."""
    quarter = max(1, len(memory_bytes) // 4)
    early = statistics.median(memory_bytes[quarter : 2 * quarter] or memory_bytes)
    return statistics.median(memory_bytes[-quarter:]) / early - 1


def _times(books: Books) -> dict[str, float]:
    seconds, told = urgent_s(books), told_s(books)
    return {
        "samples": len(seconds),
        "median_s": round(statistics.median(seconds), 4),
        "p99_s": round(p99(seconds), 4),
        "told_median_s": round(statistics.median(told), 4),
        "told_p99_s": round(p99(told), 4),
    }


def _events(books: Books) -> Counter[str]:
    return Counter(ends[0].reply["event"] for ends in books.ends.values())
