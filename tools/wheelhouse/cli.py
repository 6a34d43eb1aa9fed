"""`tools/build-wheelhouse`: the whole way from a target's name to its folder of wheels.

In: a target, extras of edged.  Out: build/wheelhouse/TARGET/, whole or not changed at all.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.wheelhouse.build import (
    LLAMA,
    PURE_SOURCES,
    ROOT,
    build_edged,
    build_pure,
    compile_llama,
    fetch,
)
from tools.wheelhouse.listing import MANIFEST, REQUIREMENTS, manifest, requirements
from tools.wheelhouse.targets import TARGETS, Target, WheelhouseError, target_named
from tools.wheelhouse.wheels import Wheel, check_machine, environment, plain, unmet, wheels_in

PLACE = ROOT / "build" / "wheelhouse"
# A round brings what pip did not know to be needed on the target; two are usual.
ROUNDS_MAX = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a wheelhouse; return 0, or 1 with a sentence on standard error."""
    given = _parser().parse_args(arguments)
    try:
        target = target_named(given.target)
        folder = build(target, given.python, given.extras)
    except WheelhouseError as error:
        print(f"build-wheelhouse: {error}", file=sys.stderr)
        return 1
    count = len(list(folder.glob("*.whl")))
    print(f"{folder.relative_to(ROOT)}: {count} wheels for {target.name}, Python {given.python}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/build-wheelhouse", description="Makes the wheels that a board installs offline."
    )
    parser.add_argument("target", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("extras", metavar="EXTRA", nargs="*", help="of pyproject.toml, as dev")
    parser.add_argument("--python", default="3.11", help="the board's (default: 3.11)")
    return parser


def build(target: Target, python: str, extras: Sequence[str]) -> Path:
    """Return the folder with every wheel that edged needs on the target.

    Raises:
        WheelhouseError: something cannot be had; names it.
    """
    folder = PLACE / "-".join((target.name, *sorted(extras)))
    scratch = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    build_edged(scratch)
    wanted = Requirement(f"edged[{','.join(extras)}]" if extras else "edged")
    wheels = complete(wanted, scratch, target, python)
    check_machine(wheels, target)
    lists = {
        REQUIREMENTS: requirements(wheels),
        MANIFEST: manifest(wheels, target, python, extras),
    }
    for name, text in lists.items():
        (scratch / name).write_text(text, encoding="utf-8")
    replace(folder, scratch)
    return folder


def replace(folder: Path, new: Path) -> None:
    """Put a new folder in the place of an old one, which is there until the new one is."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def complete(wanted: Requirement, folder: Path, target: Target, python: str) -> list[Wheel]:
    """Bring what is lacking until nothing is; return all wheels.

    Raises:
        WheelhouseError: something cannot be had, or there is no end.
    """
    there = environment(target, python)
    for _ in range(ROUNDS_MAX):
        wheels = wheels_in(folder)
        lacking = unmet(wanted, wheels, there)
        if not lacking:
            return list(wheels.values())
        bring(lacking, folder, target, python)
    names = ", ".join(map(plain, lacking))
    raise WheelhouseError(f"still lacking after {ROUNDS_MAX} rounds: {names}")


def bring(lacking: Sequence[Requirement], folder: Path, target: Target, python: str) -> None:
    """Bring one round of what is lacking, each in its own way.

    Raises:
        WheelhouseError: something cannot be had.
    """
    rest = []
    for need in lacking:
        if canonicalize_name(need.name) == LLAMA:
            compile_llama(need, folder, target, PLACE / ".compiled")
        elif canonicalize_name(need.name) in PURE_SOURCES:
            build_pure(need, folder)
        else:
            rest.append(need)
    if rest:
        fetch(rest, folder, target, python)


if __name__ == "__main__":
    sys.exit(main())
