"""Asks a library in a process of its own: what crashes or hangs there costs the engine nothing.

In:  a module for `python -m`, its arguments.     Out: `Told`, or a refusal where none comes back.
What the child's words mean is for whoever asked: one library prints, another returns a number.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from edged.errors import EngineUnusable

# An NPU that is used by nobody else answers in a second or two; a driver that waits for a job that
# got lost does not answer at all.
ANSWER_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a child process left behind.

    Attributes:
        code: its exit code; below 0: the number of the signal that ended it, negated.
        printed, complained: lines of its standard output and its standard error, stripped, without
            empty ones.
    """

    code: int
    printed: tuple[str, ...]
    complained: tuple[str, ...]

    @property
    def signal(self) -> str | None:
        """Return the name of the signal that ended it; None where it ended by itself."""
        return signal.Signals(-self.code).name if self.code < 0 else None


def asked(
    module: str, *arguments: str, who: str, environment: Mapping[str, str] | None = None
) -> Told:
    """Run a module of edged's in a child process and return what it told.

    Args:
        module: as Python imports it.
        arguments: its command line.
        who: subject of the sentence that says that nothing came back.
        environment: of the child; None: this process's.

    Raises:
        EngineUnusable: it did not end within `ANSWER_S_MAX`, and was killed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=os.environ if environment is None else environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=ANSWER_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineUnusable(
            f"{who} does not come back within {ANSWER_S_MAX:.0f} s; end whatever else uses the "
            "NPU, or restart the board"
        ) from error
    return Told(done.returncode, _lines(done.stdout), _lines(done.stderr))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
