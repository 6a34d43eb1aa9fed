"""Makes sure of libfaketime, with which the tests set the clock of a daemon and of nothing else.

In: this machine.  Out: the library's path, and the environment of a process under it; it is
unpacked into .venv where it is missing, never installed. Standard library only.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tools.broker_programs import ROOT
from tools.debian_unpack import UnpackError, unpack

UNPACKED = ROOT / ".venv" / "faketime"
PACKAGE = "libfaketime"


def library(roots: Sequence[Path] = (Path("/"), UNPACKED)) -> Path | None:
    """Return the library for programs with threads, or None."""
    found = (path for root in roots for path in root.glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
    return next(found, None)


def environment(library: Path, clock: Path) -> dict[str, str]:
    """Return the variables that put a process's calendar under a file's rule.

    CLOCK_MONOTONIC and CLOCK_BOOTTIME stay the machine's: a jump does not move them either.

    Args:
        library: of libfaketime.
        clock: a file with what time it is: `+6h`, or `@1970-01-02 00:00:00`; read at each look.
    """
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": "UTC",
    }


def set_clock(clock: Path, time: str) -> None:
    """Say what time it is, at once: no reader sees half of it."""
    new = clock.with_suffix(".new")
    new.write_text(time + "\n")
    new.replace(clock)


def main() -> int:
    """Unpack it if it is missing; where that fails, say so, and the tests that need it say so."""
    if library() is not None:
        return 0
    print(f"faketime: unpacking {PACKAGE} into {UNPACKED}", flush=True)
    try:
        unpack(UNPACKED, [PACKAGE])
    except UnpackError as error:
        print(f"faketime: {error}; the tests of jumping clocks are skipped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
