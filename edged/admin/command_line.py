"""The words of the commands that speak to the daemon of this board.

In:  the parser of `edged`.     Out: the same with these commands. Each imports what it needs when
it is chosen.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

_Commands = argparse._SubParsersAction  # argparse gives this class no public name


def add_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    """Add `status`, `budget`, `pause`, `resume` and `drain`."""
    status = _add(commands, "status", "how this board is, by its daemon", _status)
    status.add_argument(
        "--node", metavar="NAME", help="another board of the site, by the broker of --config"
    )
    pause = _add(commands, "pause", "take prompts and start none; what runs goes on", _pause)
    _add_for(pause)
    pause.add_argument("--wait", action="store_true", help="return when nothing runs any more")
    _add(commands, "resume", "take and start prompts again", _resume)
    drain = _add(commands, "drain", "refuse new prompts, answer those taken", _drain)
    _add_for(drain)
    budget = _add(commands, "budget", "the power budget: show it, change it, reset it", _budget)
    budget.add_argument(
        "watts",
        nargs="?",
        type=_watts_or_reset,
        metavar="WATTS",
        help="the mean; or `reset`; left out: show it",
    )
    budget.add_argument(
        "--peak", type=_watts, metavar="W", help="the peak too (default: as configured)"
    )
    _add_for(budget)
    drain.add_argument("--wait", action="store_true", help="return when all have ended")


def _add(
    commands: _Commands[argparse.ArgumentParser],
    name: str,
    meaning: str,
    command: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=meaning, description=meaning)
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: every key's default")
    parser.add_argument("--socket", type=Path, metavar="FILE", help="in place of admin.socket")
    parser.add_argument("--json", action="store_true", help="for a machine")
    parser.set_defaults(command=command)
    return parser


def _add_for(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="for_s",
        type=_seconds,
        metavar="TIME",
        help="as long as this: 2h, 90m, 1h30m, 45s (default: until another order)",
    )


def _seconds(text: str) -> float:
    from edged.admin.commands import seconds

    return seconds(text)


def _watts(text: str) -> float:
    from edged.admin.commands import watts

    return watts(text)


def _watts_or_reset(text: str) -> float | str:
    from edged.admin.commands import RESET

    return text if text == RESET else _watts(text)


def _status(given: argparse.Namespace) -> int:
    from edged.admin.commands import status

    return status(given)


def _pause(given: argparse.Namespace) -> int:
    from edged.admin.commands import pause

    return pause(given)


def _resume(given: argparse.Namespace) -> int:
    from edged.admin.commands import resume

    return resume(given)


def _drain(given: argparse.Namespace) -> int:
    from edged.admin.commands import drain

    return drain(given)


def _budget(given: argparse.Namespace) -> int:
    from edged.admin.commands import budget

    return budget(given)
