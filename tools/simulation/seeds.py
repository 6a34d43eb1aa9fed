"""`tools/simulate`: many seeds, one after the other or on all cores.

In:  seeds and minutes.     Out: failing seeds with what they violated, and counts of what happened.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tools.simulation.trouble import play
from tools.simulation.world import Found, simulate

MINUTES = 3.0


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
    for found in _found(seeds, given):
        counts += Counter(found.counts)
        if found.violations:
            failed += 1
            print(f"seed {found.seed}:", *found.violations, sep="\n    ", flush=True)
        if len(seeds) == 1:
            print(f"seed {found.seed}: trace {found.digest}")
    took_s = time.monotonic() - began_s
    print(f"{len(seeds)} seeds of {given.minutes:g} minutes, {failed} failed, {took_s:.0f} s")
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return 1 if failed else 0


def _found(seeds: Sequence[int], given: argparse.Namespace) -> Iterator[Found]:
    one = partial(run_seed, minutes=given.minutes, is_told=given.trace)
    if given.jobs == 1 or len(seeds) == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(given.jobs) as workers:
        yield from workers.map(one, seeds, chunksize=4)


def _seeds(words: Iterable[str]) -> list[int]:
    seeds: list[int] = []
    for word in words:
        first, _, last = word.partition("..")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/simulate", description=__doc__)
    parser.add_argument("--seeds", nargs="+", required=True, metavar="A..B", help="both included")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="virtual, of faults")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print each line of the trace")
    parser.add_argument("--log", action="store_true", help="print the daemon's log")
    return parser


if __name__ == "__main__":
    sys.exit(main())
