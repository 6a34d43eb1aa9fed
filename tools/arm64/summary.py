"""The summary of a run, for docs/arm64.md: what was tried, what it came to, how long it took.

In: steps.  Out: a table, and the page with that table in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BEGIN, END = "<!-- summary: begin -->", "<!-- summary: end -->"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried.

    Attributes:
        is_kept: an earlier run of the same commit tried it.
    """

    name: str
    said: str
    seconds: float
    is_good: bool = True
    is_kept: bool = False


def table(steps: Sequence[Step], of: str) -> str:
    """Return the summary; `of` says what was tried: commit, system, emulator."""
    rows = [f"| {one.name} | {told(one)} | {one.seconds:.0f} s |" for one in steps]
    head = [
        f"{of}. {verdict(steps)}.",
        "",
        "| step | result | took |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows])


def verdict(steps: Sequence[Step]) -> str:
    """Return what a run came to, in a line."""
    good, kept = sum(one.is_good for one in steps), sum(one.is_kept for one in steps)
    minutes = sum(one.seconds for one in steps) / 60
    earlier = f", {kept} of them by an earlier run of this commit" if kept else ""
    return f"{good} of {len(steps)} steps good{earlier}, {minutes:.0f} min"


def told(step: Step) -> str:
    """Return a step's result on one line of a table."""
    said = " ".join(step.said.split()).replace("|", "/")
    return said if step.is_good else f"**failed**: {said}"


def filled(page: str, summary: str) -> str:
    """Return the page with the summary between its marks.

    Raises:
        ValueError: the page has not exactly one place for it.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, behind = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in behind:
        raise ValueError(f"the page must have {BEGIN} and then {END}, once each")
    return f"{before}{begin}\n{summary}\n{end}{behind}"
