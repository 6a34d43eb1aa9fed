"""`tools/test-arm64`: from nothing to a summary, one step after another.

In: this checkout's last commit.  Out: exit code 0 where every step is good; build/arm64/summary.md
and the logs beside it; with --fill the summary in docs/arm64.md.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tools.arm64 import steps
from tools.arm64.debian import make_root
from tools.arm64.emulation import Arm64Error, provide
from tools.arm64.guide import Block, GuideError, blocks, copies
from tools.arm64.kept import keep, kept
from tools.arm64.machine import Machine, running
from tools.arm64.selection import in_all, needs, pieces
from tools.arm64.services import Services
from tools.arm64.summary import Step, filled, table, verdict

ROOT = Path(__file__).resolve().parents[2]
# Resolved: behind /proc/PID/root, where the machine is seen, a link of this system leads elsewhere.
PLACE = (ROOT / "build" / "arm64").resolve()
GUIDE, PAGE = ROOT / "docs" / "boards.md", ROOT / "docs" / "arm64.md"
CHECKOUT, KEPT = PLACE / "tested.tar", PLACE / "kept.json"
# What --fill itself changes is no change; git's way to leave a file out.
NOT_PAGE, CHANGED = ":(exclude)docs/arm64.md", ", with changes"
# Beside the wheels that the guide's own first commands make: those of the tests, and of the RK3576.
MORE_WHEELS = (("arm64", "dev"), ("arm64-v8.0",))
# In this order; none stands on another one.
AFTER_THE_GUIDE: Mapping[str, Callable[[Machine], str]] = {
    "`edged doctor`": steps.doctor,
    "rknn-toolkit-lite2": steps.toolkit,
    "a processor without dot products": steps.old_processor,
    "20 prompts, Cortex-A76": steps.prompts,
    "20 prompts, `arm64-v8.0`, Cortex-A53": steps.old_wheels,
    **{piece.name: partial(steps.unit_tests, piece=piece) for piece in pieces(ROOT)},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Try everything; return 0, or 1 with what failed on standard error."""
    parser = argparse.ArgumentParser(
        prog="tools/test-arm64", description="Tries edged on aarch64 code."
    )
    parser.add_argument("--fill", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument(
        "--resume", action="store_true", help="keep what an earlier run of this commit found good"
    )
    given = parser.parse_args(arguments)
    try:
        provide()
        PLACE.mkdir(parents=True, exist_ok=True)
        with alone(PLACE / "lock"):
            tried = commit()
            earlier = earlier_steps(tried) if given.resume else {}
            done = list(told(everything(earlier), tried))
    except (Arm64Error, GuideError) as error:
        print(f"test-arm64: {error}", file=sys.stderr)
        return 1
    return concluded(done, tried, is_filling=given.fill)


def concluded(done: Sequence[Step], tried: str, *, is_filling: bool) -> int:
    """Write the summary and say it in a line; return the exit code."""
    summary = table(done, subject(tried))
    (PLACE / "summary.md").write_text(f"{summary}\n", encoding="utf-8")
    is_good = all(step.is_good for step in done)
    if is_filling and is_good:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), summary), encoding="utf-8")
    failed = ", ".join(step.name for step in done if not step.is_good)
    print(f"test-arm64: {verdict(done)}" + (f"; FAILED: {failed}" if failed else ""))
    return 0 if is_good else 1


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep other runs out until the block ends.

    Raises:
        Arm64Error: one is at work.
    """
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Arm64Error(
                f"another run is at work on {lock.parent}: wait for its end"
            ) from error
        yield


def told(every: Iterator[Step], tried: str) -> Iterator[Step]:
    """Say each step as it comes, and keep the good ones for a run that resumes this one."""
    done: list[Step] = []
    for step in every:
        mark = ("kept  " if step.is_kept else "ok    ") if step.is_good else "FAILED"
        print(f"{mark} {step.seconds:5.0f} s  {step.name}: {step.said}", flush=True)
        done.append(step)
        keep(KEPT, tried, done)
        yield step


def everything(earlier: Mapping[str, Step]) -> Iterator[Step]:
    """Try one thing after another, and stop where the next ones stand on what failed."""
    page = blocks(GUIDE.read_text(encoding="utf-8"))
    for step in preparing(page):
        yield step
        if not step.is_good:
            return
    with running(PLACE / "debian", PLACE) as machine:
        for step in following(page, machine):
            yield step
            if not step.is_good:
                return
        yield from trying(machine, earlier)


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
    """Do on the machine what the guide says, and then make room for the tests."""
    services = Services(machine)
    prepare(machine)
    for block in page:
        name = f"guide, line {block.line}"
        if block.place == "copy":
            yield timed(name, partial(copied, machine, block))
        elif block.place in ("run", "run with network"):
            yield timed(name, partial(on_board, machine, services, block))
    yield timed("Debian's packages for the tests", partial(steps.packages, machine))
    wanted = needs((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    yield timed("a checkout with the tests' packages", partial(steps.checkout, machine, wanted))


def trying(machine: Machine, earlier: Mapping[str, Step]) -> Iterator[Step]:
    """Try what stands on nothing but a followed guide, as far as no earlier run did."""
    units = []
    for name, what in AFTER_THE_GUIDE.items():
        step = earlier.get(name) or timed(name, partial(what, machine))
        units += [step.said] if name.startswith("unit tests") and step.is_good else []
        yield step
    yield Step("unit tests in all", in_all(units), 0.0)


def timed(name: str, what: Callable[[], str]) -> Step:
    """Say that a thing begins, do it, and return what came of it."""
    print(f"{time.strftime('%H:%M')}          {name} ...", flush=True)
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


def prepare(machine: Machine) -> None:
    """Lay down what the tests bring along, and how names are resolved here."""
    archive = ["git", "archive", f"--output={CHECKOUT}", "--prefix=edged/", "HEAD"]
    subprocess.run(archive, cwd=ROOT, check=True)
    home = machine.files / "root"
    shutil.copy(CHECKOUT, home)
    for words in MORE_WHEELS:
        name = "-".join(words)
        shutil.copytree(ROOT / "build" / "wheelhouse" / name, home / name)
    shutil.copy("/etc/resolv.conf", machine.files / "etc/resolv.conf")


def copied(machine: Machine, block: Block) -> str:
    """Do what the guide does with scp."""
    names = []
    for copy in copies(block):
        folder = machine.files / copy.folder.lstrip("/")
        for pattern in copy.patterns:
            found = sorted(ROOT.glob(pattern))
            steps.expect(found, f"{pattern} is not there to be copied")
            for path in found:
                bring(path, folder / path.name)
                names.append(path.name)
    return f"copied {', '.join(names)}"


def bring(path: Path, to: Path) -> None:
    """Copy a file or a folder."""
    if path.is_dir():
        shutil.copytree(path, to, dirs_exist_ok=True)
    else:
        shutil.copy(path, to)


def on_board(machine: Machine, services: Services, block: Block) -> str:
    """Run a block of the guide on the machine, and start what systemd would have started."""
    before = services.enabled()
    name = f"guide-{block.line:03}"
    done = machine.run(block.script, name=name, has_network=block.place == "run with network")
    steps.expect(done.code == 0, f"exit {done.code}: {done.text[-1500:]}")
    services.follow(block.script, before)
    return f"`{block.script.strip().splitlines()[-1][:60]}`: {last_of(done.text)[:120] or 'done'}"


def last_of(text: str) -> str:
    """Return the last line that is not empty; nothing where there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def subject(tried: str) -> str:
    """Return what was tried on what."""
    version = re.search(r"version (\d+\.\d+\.\d+)", output("qemu-aarch64-static", "--version"))
    emulator = f"QEMU {version[1]}, user mode" if version else platform.machine()
    return f"Commit {tried}, {time.strftime('%Y-%m-%d', time.gmtime())}, {emulator}"


def commit() -> str:
    """Return what is tried: the last commit, and whether the files here are others.

    The tests are the commit's, edged's own wheel is made of the files.
    """
    changed = output("git", "status", "--porcelain", "--untracked-files=no", "--", ".", NOT_PAGE)
    return output("git", "rev-parse", "--short=12", "HEAD") + (CHANGED if changed else "")


def earlier_steps(tried: str) -> Mapping[str, Step]:
    """Return what an earlier run of this commit found.

    Raises:
        Arm64Error: nobody knows whether it was of these files.
    """
    if tried.endswith(CHANGED):
        raise Arm64Error("--resume wants all changes committed: which files were tried before?")
    return kept(KEPT, tried)


def output(*command: str) -> str:
    """Return what a command prints; nothing where it cannot be run."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
