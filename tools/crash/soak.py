"""Rounds of prompts and faults, counted over any number of runs: the long crash test.

In:  counts of faults, a directory.     Out: a report as JSON; exit 1 if anything was lost.
A round publishes a burst, lets a random part of it be answered, and strikes once. What the board
has not finished stays for the next rounds. The directory keeps books, spool and broker, so that
the same command goes on where the last one ended.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from tools.broker_programs import BrokerError, provide
from tools.crash import evidence
from tools.crash.books import BookFile, Books, Died, Missing, Struck
from tools.crash.faults import FAULTS, GROUPS, Counts, due
from tools.crash.house import House, Layout, furnished
from tools.crash.observer import Observer
from tools.crash.prompts import Backend, payload

# The reach of the project; freezes and link faults without a number of their own.
WHOLE = Counts(daemon_kills=900, engine_kills=100, broker_kills=100, freezes=100, link_faults=200)
PROMPTS = 8
# A backlog over this waits before more is asked, so that a slow machine is no flood.
BACKLOG_MAX = 40
# Of a burst nothing may come, as while a half-open connection is not noticed: strike all the same.
ROUND_S_MAX = 3.0
# When no outcome came for so long, prompts are published again; at most so often.
AGAIN_S, AGAIN_S_MAX = 5.0, 60.0
AGAIN_MAX = 30
# So many of the old prompts come again in each round, with an outcome or without.
COPIES = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it, over all runs of a directory.

    Attributes:
        asked, accepted, outcomes: ids.
        refused: ids that were refused at some time and have no outcome.
        lost: ids that were accepted and have no outcome, though they were asked for again.
        missing_rows: accepted ids that were not on the disk when somebody looked.
        two_outcomes: ids with two distinct outcomes.
        events: so many outcomes of each kind.
        inferences: prompts handed to the engine; late_inferences: rows handed over after their
            outcome was committed. Both of this boot of the machine.
        damage: what SQLite finds wrong with the spool; "" if nothing.
        died: processes that ended by themselves.
    """

    seed: int
    seconds: float
    faults: dict[str, int]
    faults_by_kind: dict[str, int]
    asked: int
    accepted: int
    outcomes: int
    events: dict[str, int]
    refused: list[str]
    lost: list[str]
    missing_rows: list[str]
    two_outcomes: list[str]
    inferences: int
    late_inferences: list[int]
    replies: int
    asked_again: int
    damage: str
    died: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        broken = (self.lost, self.missing_rows, self.two_outcomes, self.late_inferences)
        return not (any(broken) or self.damage or self.died or self.refused)


class Soak:
    """Rounds on a house, with an observer.

    Args:
        house: what is struck.
        observer: who asks.
        backend: chooses the prompts.
        chance: chooses everything else.
    """

    def __init__(
        self, house: House, observer: Observer, backend: Backend, chance: random.Random
    ) -> None:
        self._house = house
        self._observer = observer
        self._backend = backend
        self._chance = chance

    def run(self, wanted: Counts, limit_s: float | None) -> None:
        """Strike until the counts are reached or the time is over, then wait for all outcomes."""
        end_s = None if limit_s is None else time.monotonic() + limit_s
        while end_s is None or time.monotonic() < end_s:
            fault = self._observer.look(lambda books: due(wanted, books, self._chance))
            if fault is None:
                break
            self._round(*fault)
        self.finish()

    def finish(self) -> None:
        """Wait until every prompt has its outcome, or it is no use."""
        self._wait_for(lambda books: not books.open)

    def _wait_for(self, is_true: Callable[[Books], bool]) -> None:
        """Wait; where no outcome comes any more ask again, as a device does, in growing intervals.

        A slow board is left in peace: copies would only make it slower.
        """
        again_s = AGAIN_S
        for _ in range(AGAIN_MAX):
            had = self._observer.look(lambda books: len(books.events))
            while not self._observer.wait(is_true, again_s):
                have = self._observer.look(lambda books: len(books.events))
                if have == had:
                    break
                had, again_s = have, AGAIN_S
            else:
                return
            self._mend()
            self._look_at_disk()
            self._observer.ask_again(self._observer.look(lambda books: list(books.open)))
            again_s = min(AGAIN_S_MAX, 2 * again_s)

    def _round(self, group: str, fault: str) -> None:
        self._wait_for(lambda books: len(books.open) <= BACKLOG_MAX)
        first = self._observer.look(lambda books: len(books.asked))
        for number in range(first, first + PROMPTS):
            self._observer.ask(f"p{number}", payload(self._backend, self._chance))
        known = self._observer.look(lambda books: list(books.asked))
        self._observer.ask_again(self._chance.sample(known, COPIES))
        heard = self._observer.look(lambda books: books.replies)
        so_many = heard + self._chance.randrange(2 * PROMPTS)
        self._observer.wait(lambda books: books.replies >= so_many or not books.open, ROUND_S_MAX)
        self._mend()
        FAULTS[group][fault](self._house, self._chance)
        self._observer.enter(Struck(group, fault))

    def _mend(self) -> None:
        for process in self._house.mend():
            self._observer.enter(Died(process))

    def _look_at_disk(self) -> None:
        """Look for the rows of accepted prompts before a copy could bring them back."""
        client = self._observer.client
        accepted = self._observer.look(lambda books: set(books.accepted))
        missing = evidence.missing_rows(self._house.spool, client, accepted)
        if missing:
            self._observer.enter(Missing(missing))


def soak(
    directory: Path,
    wanted: Counts,
    *,
    backend: Backend = "sim",
    layout: Layout = "units",
    limit_s: float | None = None,
    seed: int | None = None,
) -> Report:
    """Strike a board until the counts are reached; return what came of it.

    Args:
        directory: keeps the state; that of an earlier call goes on.
        wanted: the counts, those of earlier calls included.
        backend: of the engine.
        layout: who starts the engine.
        limit_s: ends the rounds before the counts are reached.
        seed: of the faults; the processes' own timing stays theirs.

    Raises:
        BrokerError: there is no mosquitto, or it does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    seed = random.randrange(2**32) if seed is None else seed
    began_s = time.monotonic()
    file = BookFile(directory / "books.jsonl")
    try:
        with furnished(directory, provide(), backend, layout) as house:
            with Observer(house.broker.host, house.broker.port, file) as observer:
                observer.wait_until_subscribed(AGAIN_S)
                Soak(house, observer, backend, random.Random(seed)).run(wanted, limit_s)
                client = observer.client
            house.daemon.stop()
            return _report(file.books, house, client, seed, time.monotonic() - began_s)
    finally:
        file.close()


def _report(books: Books, house: House, client: str, seed: int, seconds: float) -> Report:
    watched = evidence.watched(house.spool, house.handed)
    missing = evidence.missing_rows(house.spool, client, books.accepted)
    return Report(
        seed=seed,
        seconds=round(seconds, 1),
        faults={group: books.struck_of(group) for group in GROUPS},
        faults_by_kind={f"{group}: {fault}": n for (group, fault), n in books.struck.items()},
        asked=len(books.asked),
        accepted=len(books.accepted),
        outcomes=len(books.events),
        events=dict(Counter(books.events.values())),
        refused=sorted(books.refused - books.events.keys()),
        lost=sorted(books.unfinished),
        missing_rows=sorted(books.missing | set(missing)),
        two_outcomes=books.contradicted,
        inferences=watched.inferences,
        late_inferences=list(watched.late),
        replies=books.replies,
        asked_again=books.asked_again,
        damage=evidence.damage(house.spool),
        died=dict(books.died),
    )


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="tools/soak", description="Kills, freezes and disconnects a board, and keeps books."
    )
    for group in GROUPS:
        flag = "--" + group.replace("_", "-")
        parser.add_argument(flag, type=int, default=WHOLE.of(group), metavar="N")
    parser.add_argument("--minutes", type=float, help="end before the counts are reached")
    parser.add_argument("--directory", type=Path, help="goes on with what it holds")
    parser.add_argument("--backend", choices=get_args(Backend), default="llama")
    parser.add_argument("--layout", choices=get_args(Layout), default="units")
    parser.add_argument("--seed", type=int, help="of the faults")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the soak; 0 when every promise was kept, 1 when not, or when there is no broker."""
    options = parse_arguments(arguments)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="edged-soak-"))
    print(f"soak: state and books in {directory}", file=sys.stderr, flush=True)
    try:
        report = soak(
            directory,
            Counts(**{group: getattr(options, group) for group in GROUPS}),
            backend=options.backend,
            layout=options.layout,
            limit_s=None if options.minutes is None else options.minutes * 60,
            seed=options.seed,
        )
    except BrokerError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    text = as_json(report)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")
    return 0 if report.is_clean else 1


def as_json(report: Report) -> str:
    """Return a report as it is printed."""
    table: dict[str, Any] = {**asdict(report), "is_clean": report.is_clean}
    return json.dumps(table, indent=2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
