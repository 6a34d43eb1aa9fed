"""`tools/build-package`: the whole way from a target's name to its package.

In: a target.  Out: build/package/edged_VERSION_ARCHITECTURE.deb.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.package.archive import COMPRESSIONS, write_package
from tools.package.control import control_files
from tools.package.errors import PackageError
from tools.package.tree import ROOT, Contents, lay_out
from tools.package.version import release_of
from tools.package.wheels import wheels_for
from tools.wheelhouse.targets import TARGETS, Target, WheelhouseError, target_named

PLACE = ROOT / "build" / "package"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a package; return 0, or 1 with a sentence on standard error."""
    given = parser("tools/build-package", "Builds the Debian package of edged.").parse_args(
        arguments
    )
    try:
        path = build(target_named(given.target), given)
    except (PackageError, WheelhouseError) as error:
        print(f"build-package: {error}", file=sys.stderr)
        return 1
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Return the options that a package is built with."""
    made = argparse.ArgumentParser(prog=program, description=description)
    made.add_argument("target", metavar="TARGET", help=", ".join(TARGETS))
    made.add_argument("--python", default="3.11", help="the board's (default: 3.11)")
    made.add_argument("--revision", type=int, default=1, help="of the package (default: 1)")
    made.add_argument(
        "--compression", choices=COMPRESSIONS, default="xz", help="of the package (default: xz)"
    )
    return made


def build(target: Target, given: argparse.Namespace) -> Path:
    """Build the package of this checkout.

    Raises:
        PackageError, WheelhouseError: something is missing or wrong; names it.
    """
    with contents_for(target, given) as contents:
        return package(contents, PLACE, given.compression)


@contextmanager
def contents_for(target: Target, given: argparse.Namespace) -> Iterator[Contents]:
    """Bring what goes into a package of this checkout; its wheels are deleted behind it.

    Raises:
        PackageError, WheelhouseError: something is missing or wrong; names it.
    """
    epoch_s = source_date_s(os.environ)
    # What pip builds edged's wheel with looks at it too.
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch_s)
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PLACE, prefix=".wheels-") as scratch:
        wheels = wheels_for(target, given.python, Path(scratch))
        (edged,) = (one for one in wheels if one.name == "edged")
        release = release_of(target, edged.version, given.revision, epoch_s)
        yield Contents(release, target, wheels, given.python)


def package(contents: Contents, folder: Path, compression: str) -> Path:
    """Write the package of these wheels into `folder` and return it.

    Raises:
        PackageError: something is missing or wrong; names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tree-") as scratch:
        root = Path(scratch) / "root"
        lay_out(contents, root)
        control = control_files(contents, root)
        return write_package(root, control, contents.release, folder, compression)


def source_date_s(environment: Mapping[str, str]) -> int:
    """Return the time that every file gets, in s since 1970: of the commit, unless it is given.

    Raises:
        PackageError: there is neither.
    """
    given = environment.get("SOURCE_DATE_EPOCH", "")
    if given.isdecimal():
        return int(given)
    command = ["git", "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return int(done.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise PackageError(
            "no git history to take the time of the files from: set SOURCE_DATE_EPOCH to seconds "
            "since 1970"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
