"""Cuts the power of a whole machine at random while a client outside sends prompts, and counts.

In:  a number of cuts, a folder.     Out: a report as JSON; exit 1 if anything accepted was lost.
Each cut leaves the image of a disk, which the host checks: every accepted id has its row there, and
every outcome that was heard stands in it. Four of five are images of the disk as a cut at that
moment would have left it, and the machine runs on. At the fifth QEMU is killed, and the machine
boots from what is left: every prompt has to end in one outcome.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tools.broker_programs import ROOT
from tools.crash.books import BookFile, Books, Struck
from tools.crash.observer import Observer, pause
from tools.crash.prompts import payload
from tools.debian_unpack import UnpackError
from tools.whole_machine.check import Found, Known, check, known
from tools.whole_machine.image import Image, ImageError, build
from tools.whole_machine.machine import Machine
from tools.whole_machine.programs import ProgramError, Programs, provide

FOLDER = ROOT / "build" / "power-cut"
CUTS = 20
CUTS_PER_BOOT = 5
# An emulated machine boots, opens its spool and answers within this, also on a busy host.
BOOT_S_MAX = 900.0
AGAIN_S, AGAIN_GROWTH = 20.0, 1.5
TRAFFIC_S_MAX = 8.0
BURST, BURST_EVERY_S, BACKLOG_MAX = 4, 0.5, 40
# A commit is a handful of writes with flushes between them.
REQUESTS_MAX = 6
GROUP, ALIVE, BOOTED = "power_cuts", "machine runs on", "machine boots again"


@dataclass(slots=True)
class Report:
    """What came of it.

    Attributes:
        cuts, reboots: so many; each reboot is a cut too.
        dirty_cuts: cuts at which something was unflushed.
        unflushed, lost_sectors: sectors that no flush had reached at the cuts, and those of them
            that lost something.
        asked, accepted, outcomes: ids.
        missing, changed, damage: as in `Found`, of all cuts.
        lost: ids that were accepted and have no outcome at the end.
        two_outcomes: ids with two distinct outcomes.
    """

    seed: int
    seconds: float = 0.0
    cuts: int = 0
    reboots: int = 0
    dirty_cuts: int = 0
    unflushed: int = 0
    lost_sectors: int = 0
    asked: int = 0
    accepted: int = 0
    outcomes: int = 0
    asked_again: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    two_outcomes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        wrong = (self.missing, self.changed, self.damage, self.lost, self.two_outcomes)
        return not any(wrong)

    def add(self, found: Found) -> None:
        """Add what is wrong with a disk."""
        self.missing += found.missing
        self.changed += found.changed
        self.damage += found.damage

    def close(self, books: Books, seconds: float) -> None:
        """Add what the books say at the end."""
        self.seconds = round(seconds, 1)
        self.asked, self.accepted = len(books.asked), len(books.accepted)
        self.outcomes, self.asked_again = len(books.events), books.asked_again
        self.lost, self.two_outcomes = sorted(books.unfinished), books.contradicted


class Cutter:
    """Boots, lets prompts come, cuts, checks.

    Args:
        image: the first disk; further ones lie beside it.
        programs: QEMU and those of ext4.
        file: the books.
        report: filled as it goes.
    """

    def __init__(self, image: Image, programs: Programs, file: BookFile, report: Report) -> None:
        self._image = image
        self._programs = programs
        self._file = file
        self._report = report
        self._chance = random.Random(report.seed)

    def run(self, cuts: int) -> None:
        """Cut so many times, then boot once more and wait for all outcomes."""
        while self._report.cuts < cuts:
            self._boot(min(CUTS_PER_BOOT, cuts - self._report.cuts))
            self._report.reboots += 1
        self._boot(0)

    def _boot(self, cuts: int) -> None:
        """Boot, settle what the last cut left, and cut; the last cut is one for the machine too."""
        folder = self._image.disk.parent
        after = folder / ("disk-a.img" if self._image.disk.name != "disk-a.img" else "disk-b.img")
        with (
            Machine(self._image, self._programs, folder) as machine,
            Observer("127.0.0.1", machine.port, self._file) as observer,
        ):
            self._settle(observer)
            for number in range(1, cuts + 1):
                self._send(observer)
                # What is heard from here on may or may not be on the disk.
                before = observer.look(known)
                machine.hold_disk(self._chance.randint(1, REQUESTS_MAX))
                if number == cuts:
                    machine.cut_power()
                self._cut(machine, observer, before, after)
        if cuts:
            self._image = replace(self._image, disk=after)

    def _settle(self, observer: Observer) -> None:
        """Ask until the machine answers and every prompt has its outcome, or it is no use."""
        if not observer.look(lambda books: books.open):
            self._ask(observer)
        end_s, again_s = time.monotonic() + BOOT_S_MAX, AGAIN_S
        while not observer.wait(lambda books: not books.open, again_s):
            if time.monotonic() > end_s:
                return
            again_s *= AGAIN_GROWTH
            if observer.is_connected:
                observer.ask_again(observer.look(lambda books: list(books.open)))

    def _send(self, observer: Observer) -> None:
        """Publish bursts for a random time, as long as they are answered; the last just now."""
        end_s = time.monotonic() + self._chance.uniform(0.0, TRAFFIC_S_MAX)
        while time.monotonic() < end_s:
            pause(BURST_EVERY_S * self._chance.random())
            if observer.look(lambda books: len(books.open)) <= BACKLOG_MAX:
                self._ask(observer)
        self._ask(observer)
        pause(BURST_EVERY_S * self._chance.random())

    def _ask(self, observer: Observer) -> None:
        first = observer.look(lambda books: len(books.asked))
        for number in range(first, first + BURST):
            observer.ask(f"p{number}", payload("sim", self._chance))

    def _cut(self, machine: Machine, observer: Observer, before: Known, after: Path) -> None:
        """Check what a cut leaves; where the machine is off, leave it in `after` too."""
        seed = self._chance.randrange(2**32)
        checked = after.with_name("disk-checked.img")
        cut = machine.cut_image(checked, seed)
        if machine.runs:
            machine.release_disk()
        else:
            machine.cut_image(after, seed)  # the same again: checking plays the journal back
        self._report.cuts += 1
        self._report.dirty_cuts += cut.unflushed > 0
        self._report.unflushed += cut.unflushed
        self._report.lost_sectors += cut.lost
        self._report.add(check(checked, self._programs, observer.client, before))
        observer.enter(Struck(GROUP, ALIVE if machine.runs else BOOTED))
        said = f"{len(before.accepted)} ids accepted, {cut.lost} of {cut.unflushed} sectors lost"
        print(f"power_cut: cut {self._report.cuts}: {said}", file=sys.stderr, flush=True)


def power_cut(folder: Path, cuts: int, seed: int | None = None) -> Report:
    """Build the machine, cut its power so often, and return what came of it.

    Raises:
        UnpackError: QEMU or mmdebstrap cannot be had here.
        ImageError, ProgramError: the image cannot be built here, or a disk not be looked at.
    """
    programs = provide()
    image = build(folder, programs)
    report = Report(random.randrange(2**32) if seed is None else seed)
    books = folder / "books.jsonl"
    books.unlink(missing_ok=True)
    file = BookFile(books)
    began_s = time.monotonic()
    try:
        Cutter(image, programs, file, report).run(cuts)
    finally:
        file.close()
    report.close(file.books, time.monotonic() - began_s)
    return report


def main(arguments: Sequence[str]) -> int:
    """Cut; 0 when every promise was kept, 1 when not, or when there is no such machine here."""
    parser = argparse.ArgumentParser(
        prog="tools/power_cut", description="Cuts the power of a whole machine, and counts."
    )
    parser.add_argument("--cuts", type=int, default=CUTS, metavar="N")
    parser.add_argument("--directory", type=Path, default=FOLDER, help="keeps the built Debian")
    parser.add_argument("--seed", type=int, help="of moments and lost sectors")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    options = parser.parse_args(arguments)
    try:
        report = power_cut(options.directory, options.cuts, options.seed)
    except (UnpackError, ImageError, ProgramError) as error:
        print(f"power_cut: {error}", file=sys.stderr)
        return 1
    table: dict[str, Any] = {**asdict(report), "is_clean": report.is_clean}
    text = json.dumps(table, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
