"""What the benchmark needs of a system that serves a model, and how it is asked.

In:  `Ask`s.     Out: `Run`: seconds, CPU seconds, answers.
CPU seconds are those of the serving process alone: what a client costs is nobody's merit.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edged.bench.workload import Ask
from edged.errors import EdgedError

PROC = Path("/proc")
_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")


class PeerFailed(EdgedError):
    """A peer cannot be started or does not answer; says which and why."""


class PeerFull(PeerFailed):
    """A peer's KV cache cannot hold as many prompts as it took at once."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all.

    Attributes:
        model: the GGUF file.
        threads: compute threads.
        context_tokens: prompt plus answer of one prompt, at most.
        sequences: prompts in edged's batch, at most.
        kv_tokens: what the KV cache holds, all prompts together.
    """

    model: Path
    threads: int
    context_tokens: int
    sequences: int
    kv_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        cached_tokens, forced_tokens: known of edged only; else 0.
    """

    text: str
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    forced_tokens: int = 0


class System(Protocol):
    """A serving process."""

    @property
    def name(self) -> str:
        """`edged`, or the peer's."""

    @property
    def variant(self) -> str:
        """Its own setting, where several are tried; the best counts."""

    @property
    def pid(self) -> int:
        """The process that computes."""

    async def answer(self, ask: Ask) -> Answer:
        """Return the answer to one prompt.

        Raises:
            EdgedError: there was none.
        """


@dataclass(frozen=True, slots=True)
class Run:
    """One workload, once, on one system; `right` counts the answers that were."""

    system: str
    variant: str
    workload: str
    repetition: int
    wall_s: float
    cpu_s: float
    right: int
    answers: tuple[Answer, ...]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.answers) / self.wall_s


async def asked(system: System, asks: Sequence[Ask], at_once: int | None) -> list[Answer]:
    """Return the answers, in order; `at_once` of them are waited for at the same time.

    Raises:
        EdgedError: one of them did not come.
    """
    places = asyncio.Semaphore(at_once or len(asks) or 1)

    async def one(ask: Ask) -> Answer:
        async with places:
            return await system.answer(ask)

    # To the end of them all: what still runs would take time from the next system.
    ended = await asyncio.gather(*map(one, asks), return_exceptions=True)
    for failure in ended:
        if isinstance(failure, BaseException):
            raise failure
    return [answer for answer in ended if isinstance(answer, Answer)]


async def timed(
    system: System, asks: Sequence[Ask], at_once: int | None, workload: str, repetition: int
) -> Run:
    """Ask under the clock."""
    began_s, cpu_began_s = time.perf_counter(), cpu_s(system.pid)
    answers = await asked(system, asks, at_once)
    wall_s, used_s = time.perf_counter() - began_s, cpu_s(system.pid) - cpu_began_s
    right = sum(is_right(ask, given) for ask, given in zip(asks, answers, strict=True))
    names = (system.name, system.variant, workload, repetition)
    return Run(*names, wall_s, used_s, right, tuple(answers))


def is_right(ask: Ask, given: Answer) -> bool:
    """Return whether the answer is the canonical one: the same JSON value, or the same text."""
    if ask.schema is None:
        return bool(given.text) and ask.answer.startswith(given.text)
    try:
        value = json.loads(given.text)
    except ValueError:
        return False
    if isinstance(value, dict) and ask.form == "compact":
        value = list(value.values())
    # As text: to Python, true is 1 as well.
    return json.dumps(value) == json.dumps(json.loads(ask.answer))


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far, all threads, user and system.

    Source: proc(5), /proc/PID/stat, utime and stime in clock ticks.
    """
    # The name in brackets can hold spaces: the fields are counted behind it.
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int, without: Path) -> int:
    """Return the resident memory of a process but for its mapping of one file: shared page cache.

    Source: proc(5), /proc/PID/smaps: a line for each mapping, its path last, then `Rss:` in kB.
    """
    lines = (PROC / str(pid) / "smaps").read_text(encoding="utf-8").splitlines()
    return counted_rss_bytes(lines, str(without.resolve()))


def counted_rss_bytes(smaps: Sequence[str], without: str) -> int:
    """Return the resident bytes in the lines of an smaps file, one path's left out."""
    total_kb, is_counted = 0, True
    for line in smaps:
        if _MAPPING.match(line):
            is_counted = not line.endswith(f" {without}")
        elif line.startswith("Rss:") and is_counted:
            total_kb += int(line.split()[1])
    return total_kb * 1024


def cpu_name() -> str:
    """Return how many processors of which kind this machine has."""
    lines = (PROC / "cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()
