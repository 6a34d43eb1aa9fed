"""`tools/test-arm64`: from nothing to a summary, one step after another.

In: this checkout's last commit.  Out: exit code 0 where every step is good; build/arm64/summary.md
and the logs beside it; with --fill the summary in docs/arm64.md.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tools.arm64 import steps
from tools.arm64.debian import make_root
from tools.arm64.emulation import Arm64Error, provide
from tools.arm64.guide import Block, GuideError, blocks
from tools.arm64.machine import Machine, running
from tools.arm64.readiness import listening, wait_until_ready
from tools.arm64.summary import Step, filled, table
from tools.arm64.units import reading, says_when_ready, started_by, starting, wanted

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "arm64"
GUIDE, PAGE = ROOT / "docs" / "boards.md", ROOT / "docs" / "arm64.md"
# Beside the wheels that the guide's own first commands make: those of the tests, and of the RK3576.
MORE_WHEELS = (("arm64", "dev"), ("arm64-v8.0",))
AFTER_THE_GUIDE: tuple[tuple[str, Callable[[Machine], str]], ...] = (
    ("`edged doctor`", steps.doctor),
    ("rknn-toolkit-lite2", steps.toolkit),
    ("a processor without dot products", steps.old_processor),
    ("packages of the tests", steps.test_packages),
    ("20 prompts, Cortex-A76", steps.prompts),
    ("20 prompts, `arm64-v8.0`, Cortex-A53", steps.old_wheels),
    ("unit tests", steps.unit_tests),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try everything; return 0, or 1 with what failed on standard error."""
    parser = argparse.ArgumentParser(
        prog="tools/test-arm64", description="Tries edged on aarch64 code."
    )
    parser.add_argument("--fill", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    given = parser.parse_args(arguments)
    try:
        provide()
        PLACE.mkdir(parents=True, exist_ok=True)
        done = list(told(everything()))
    except (Arm64Error, GuideError) as error:
        print(f"test-arm64: {error}", file=sys.stderr)
        return 1
    summary = table(done, subject())
    (PLACE / "summary.md").write_text(f"{summary}\n", encoding="utf-8")
    is_good = all(step.is_good for step in done)
    if given.fill and is_good:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), summary), encoding="utf-8")
    return 0 if is_good else 1


def told(every: Iterator[Step]) -> Iterator[Step]:
    """Say each step as it comes."""
    for step in every:
        mark = "ok    " if step.is_good else "FAILED"
        print(f"{mark} {step.seconds:5.0f} s  {step.name}: {step.said}", flush=True)
        yield step


def everything() -> Iterator[Step]:
    """Try one thing after another, and stop where the next ones stand on what failed."""
    page = blocks(GUIDE.read_text(encoding="utf-8"))
    for step in preparing(page):
        yield step
        if not step.is_good:
            return
    with running(PLACE / "debian", PLACE) as machine:
        copy_to(machine)
        for step in following(page, machine):
            yield step
            if not step.is_good:
                return
        for name, what in AFTER_THE_GUIDE:
            yield timed(name, partial(what, machine))


def preparing(page: Sequence[Block]) -> Iterator[Step]:
    """Make the root and the wheels."""
    yield timed("Debian 12 for arm64", partial(made, PLACE))
    for block in page:
        if block.place == "on the computer":
            name = f"guide, line {block.line}, on the computer"
            yield timed(name, partial(at_home, block.script))
    for words in MORE_WHEELS:
        command = f"tools/build-wheelhouse {' '.join(words)}"
        yield timed(f"`{command}`", partial(at_home, command))


def following(page: Sequence[Block], machine: Machine) -> Iterator[Step]:
    """Do on the machine what the guide says."""
    for block in page:
        if block.place in ("run", "run with network"):
            yield timed(f"guide, line {block.line}", partial(on_board, machine, block))


def timed(name: str, what: Callable[[], str]) -> Step:
    """Do one thing; return what came of it."""
    began_s = time.monotonic()
    try:
        said, is_good = what(), True
    except Arm64Error as error:
        said, is_good = str(error), False
    return Step(name, said, time.monotonic() - began_s, is_good)


def made(place: Path) -> str:
    """Make the root, or find it."""
    is_there = (place / "debian").is_dir()
    make_root(place, place / "debootstrap.log")
    return "there already" if is_there else "made by debootstrap"


def at_home(script: str) -> str:
    """Run commands that are meant for the computer at which the reader sits."""
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    steps.expect(done.returncode == 0, done.stderr or done.stdout)
    return last_of(done.stdout) or "done"


def copy_to(machine: Machine) -> None:
    """Do what the guide does with scp, and bring the wheels of the tests along."""
    home = machine.files / "root"
    shutil.copy(ROOT / "build" / "edged.tar", home)
    for name in ("arm64", *("-".join(words) for words in MORE_WHEELS)):
        shutil.copytree(ROOT / "build" / "wheelhouse" / name, home / name)
    shutil.copy("/etc/resolv.conf", machine.files / "etc/resolv.conf")


def on_board(machine: Machine, block: Block) -> str:
    """Run a block of the guide on the machine, and start what systemd would have started."""
    name = f"guide-{block.line:03}"
    done = machine.run(block.script, name=name, has_network=block.place == "run with network")
    steps.expect(done.code == 0, f"exit {done.code}: {done.text[-1500:]}")
    for name in started_by(block.script):
        start_service(machine, name)
    return f"`{block.script.strip().splitlines()[-1][:60]}`: {last_of(done.text)[:120] or 'done'}"


def start_service(machine: Machine, name: str) -> None:
    """Start a service and those that it wants beside it; return once each is ready."""
    units = {name: machine.run(reading(name), name=name).text}
    for other in wanted(units[name]):
        units[other] = machine.run(reading(other), name=other).text
    with contextlib.ExitStack() as stack:
        ready = {}
        for one, unit in units.items():
            if says_when_ready(unit):
                ready[one] = stack.enter_context(listening(machine.files / f"run/{one}.notify"))
            machine.start(starting(unit, f"/run/{one}.notify"), f"{one}-output")
        for one, listener in ready.items():
            wait_until_ready(listener, one)


def last_of(text: str) -> str:
    """Return the last line that is not empty; nothing where there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def subject() -> str:
    """Return what was tried on what."""
    commit = output("git", "rev-parse", "--short=12", "HEAD")
    version = re.search(r"version (\d+\.\d+\.\d+)", output("qemu-aarch64-static", "--version"))
    emulator = f"QEMU {version[1]}, user mode" if version else platform.machine()
    return f"Commit {commit}, {time.strftime('%Y-%m-%d', time.gmtime())}, {emulator}"


def output(*command: str) -> str:
    """Return what a command prints; nothing where it cannot be run."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
