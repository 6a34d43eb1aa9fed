"""`tools/simulate`: many seeds, one after the other or on all cores.

In:  seeds, how long.     Out: failing seeds with what they violated, and counts of what happened.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice

from tools.simulation.trouble import play
from tools.simulation.world import Found, simulate

MINUTES = 3.0
# Seeds of each process between two looks at the clock: about half a minute.
BATCH = 16


def run_seed(seed: int, minutes: float = MINUTES, *, is_told: bool = False) -> Found:
    """Return what one seed shows in so many virtual minutes of faults."""
    log = print if is_told else _unheard
    return simulate(seed, lambda world: play(world, 60 * minutes), log)


def _unheard(line: str) -> None:
    """Leave a line of the trace."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds as told; return 1 if one violated a promise."""
    given = _parser().parse_args(arguments)
    # What the daemon warns of is what the seeds are made for.
    logging.getLogger("edged").setLevel(logging.DEBUG if given.log else logging.CRITICAL)
    if given.log:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="    %(message)s")
    seeds, counts, failed, began_s = _seeds(given.seeds), Counter[str](), 0, time.monotonic()
    played = 0
    for found in _found(seeds, given):
        played += 1
        counts += Counter(found.counts)
        if found.violations:
            failed += 1
            print(f"seed {found.seed}:", *found.violations, sep="\n    ", flush=True)
        if len(seeds) == 1:
            print(f"seed {found.seed}: trace {found.digest}")
    print(
        f"{played} of {len(seeds)} seeds of {given.virtual_minutes:g} minutes, {failed} failed, "
        f"{time.monotonic() - began_s:.0f} s"
    )
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return 1 if failed else 0


def _found(seeds: Sequence[int], given: argparse.Namespace) -> Iterator[Found]:
    one = partial(run_seed, minutes=given.virtual_minutes, is_told=given.trace)
    ends_s = time.monotonic() + 60 * given.minutes
    left = iter(seeds)
    with ExitStack() as stack:
        in_turn: Callable[[Callable[[int], Found], list[int]], Iterator[Found]] = map
        if given.jobs > 1 and len(seeds) > 1:
            in_turn = stack.enter_context(ProcessPoolExecutor(given.jobs)).map
        while batch := list(islice(left, BATCH * given.jobs)):
            yield from in_turn(one, batch)
            if time.monotonic() >= ends_s:
                return


def _seeds(words: Iterable[str]) -> list[int]:
    seeds: list[int] = []
    for word in words:
        first, _, last = word.partition("..")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/simulate", description=__doc__)
    parser.add_argument("--seeds", nargs="+", required=True, metavar="A..B", help="both included")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then no batch begins")
    parser.add_argument("--virtual-minutes", type=float, default=MINUTES, help="of faults, a seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print each line of the trace")
    parser.add_argument("--log", action="store_true", help="print the daemon's log")
    return parser


if __name__ == "__main__":
    sys.exit(main())
