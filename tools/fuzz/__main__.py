"""Runs the targets and counts: `python -m tools.fuzz --inputs N [--target NAME] [--guided]`.

In:  how many inputs, from which random number.     Out: a line for each target; each input that
broke a rule as a file. 1 if there were any.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType

from tools.fuzz import answers, daemon, files, frames, guided, prompts, spool
from tools.fuzz.target import Target

TARGETS = (
    *prompts.TARGETS,
    *frames.TARGETS,
    *answers.TARGETS,
    *files.TARGETS,
    *spool.TARGETS,
)
# Where so many inputs take longer, one hangs: the process says where it is, and ends.
WATCHED_INPUTS, WATCHED_S = 500, 300.0
FINDINGS_MAX = 20
# An input that takes more memory is a finding, and no danger to the machine.
MEMORY_BYTES_MAX = 3 * 2**30


@dataclass(slots=True)
class Count:
    """What a target did.

    Attributes:
        findings: where something was raised -> the first input that did it.
    """

    inputs: int = 0
    slowest_s: float = 0.0
    findings: dict[str, bytes] = field(default_factory=dict)


class Try:
    """One input under the clock; whatever it raises is a finding, and the run goes on."""

    def __init__(self, count: Count, data: bytes, long_s: float) -> None:
        self._count = count
        self._data = data
        self._long_s = long_s

    def __enter__(self) -> None:
        """Start the clock."""
        self._began_s = time.perf_counter()

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        """Count it."""
        self._count.inputs += 1
        took_s = time.perf_counter() - self._began_s
        self._count.slowest_s = max(self._count.slowest_s, took_s)
        if isinstance(error, Exception):
            self._count.findings.setdefault(_where(error), self._data)
        elif took_s > self._long_s:
            self._count.findings.setdefault(f"over {self._long_s:.0f} s", self._data)
        return isinstance(error, Exception)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; return 0, or 1 where a rule was broken."""
    given = _parser().parse_args(argv)
    chosen = [one for one in TARGETS if not given.target or one.name in given.target]
    if given.guided:
        return _guided(chosen, given)
    is_broken, memory = False, resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, memory[1]))
    for target, inputs in _shared(given.inputs, chosen):
        began_s = time.perf_counter()
        count = run(target, inputs, given.seed)
        print(_line(target.name, count, time.perf_counter() - began_s), flush=True)
        for place, (where, data) in enumerate(count.findings.items()):
            file = given.found / f"{target.name}-{place}"
            given.found.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            print(f"  {file}: {where}")
        is_broken = is_broken or bool(count.findings)
    resource.setrlimit(resource.RLIMIT_AS, memory)
    if given.daemon:
        is_broken = daemon.fuzzed(given.daemon, given.seed) or is_broken
    return int(is_broken)


def _guided(chosen: Sequence[Target], given: argparse.Namespace) -> int:
    """Let coverage guide the inputs; each target gets its share."""
    if not guided.is_available():
        print(guided.MISSING, file=sys.stderr)
        return 2
    broken = [
        guided.run(target.name, inputs, given.seed, given.found)
        for target, inputs in _shared(given.inputs, chosen)
    ]
    return int(any(broken))


def _shared(inputs: int, chosen: Sequence[Target]) -> list[tuple[Target, int]]:
    """Return how many of the inputs each target gets."""
    total = sum(one.share for one in chosen)
    return [(one, max(1, round(inputs * one.share / total))) for one in chosen]


def run(target: Target, inputs: int, seed: int) -> Count:
    """Give a target so many inputs."""
    count, random, seeds = Count(), Random(f"{target.name} {seed}"), target.seeds()
    for number in range(inputs):
        data = seeds[number] if number < len(seeds) else target.change(seeds, target.pieces, random)
        if number % WATCHED_INPUTS == 0:
            faulthandler.dump_traceback_later(
                WATCHED_S, exit=True, file=sys.__stderr__ or sys.stderr
            )
        with Try(count, data, target.long_s):
            target.check(data)
        if len(count.findings) >= FINDINGS_MAX:
            break
    faulthandler.cancel_dump_traceback_later()
    return count


def _where(error: Exception) -> str:
    """Return an error and the line it comes from: two inputs of one bug say the same."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def _line(name: str, count: Count, took_s: float) -> str:
    return (
        f"{name}: {count.inputs} inputs, {len(count.findings)} findings, {took_s:.0f} s, "
        f"slowest {count.slowest_s * 1000:.0f} ms"
    )


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(one.name for one in TARGETS)
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all targets together")
    parser.add_argument("--target", action="append", default=[], help=f"of: {names}")
    parser.add_argument("--seed", type=int, default=1, help="another one makes other inputs")
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris")
    parser.add_argument("--daemon", type=int, default=0, help="prompts to a real daemon, too")
    parser.add_argument("--found", type=Path, default=Path("build/fuzz"), help="for the inputs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
