"""The commands that speak to the daemon of this board.

In:  words of the command line.     Out: text on the terminal, an exit code.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

from edged import config
from edged.admin.afar import state_from_afar
from edged.admin.client import asked
from edged.admin.screen import budget_lines, mode_line, screen
from edged.admin.wire import (
    Answer,
    Ask,
    HoldAsk,
    ResetBudgetAsk,
    ResumeAsk,
    SetBudgetAsk,
    StatusAsk,
)
from edged.errors import AdminRefused
from edged.orders.kept import FOR_S_MAX
from edged.topics import Topics

# `--wait` looks this often.
LOOK_S = 0.5

# `edged budget reset`: the configured one again.
RESET = "reset"

_UNITS_S = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds(text: str) -> float:
    """Return the seconds of a length of time: 2h, 90m, 1h30m, 45s.

    Raises:
        argparse.ArgumentTypeError: it is none, or longer than a year.
    """
    found = _DURATION.fullmatch(text)
    given = [] if found is None else [int(number or 0) for number in found.groups()]
    total_s = sum(n * unit_s for n, unit_s in zip(given, _UNITS_S.values(), strict=False))
    if not 1 <= total_s <= FOR_S_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: a time such as 2h, 90m, 1h30m or 45s")
    return float(total_s)


def watts(text: str) -> float:
    """Return the watts of a word.

    Raises:
        argparse.ArgumentTypeError: they are none, or out of range.
    """
    try:
        power_w = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: watts such as 3.0") from error
    if not 0.1 <= power_w <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: watts from 0.1 to 1000")
    return power_w


def status(given: argparse.Namespace) -> int:
    """Print how the board is, or another board of the site."""
    if given.node is not None:
        settings = _settings(given)
        topics = Topics(settings.node.site, given.node)
        state = state_from_afar(settings.broker, topics)
        return _show(Answer(state=state, left_s={}), given, screen)
    return _tell(_settings(given), StatusAsk(), given, screen)


def pause(given: argparse.Namespace) -> int:
    """Have the board start nothing new; with `--wait` return when what ran has ended."""
    return _hold("pause", given, ("running",))


def resume(given: argparse.Namespace) -> int:
    """Have the board take and start prompts."""
    return _tell(_settings(given), ResumeAsk(), given, mode_line)


def drain(given: argparse.Namespace) -> int:
    """Have the board refuse new prompts; with `--wait` return when all others have ended."""
    return _hold("drain", given, ("queued", "running"))


def budget(given: argparse.Namespace) -> int:
    """Show the budget, or hold another one.

    Raises:
        AdminRefused: `--for` or `--peak` without watts, or the daemon will not.
    """
    if isinstance(given.watts, float):
        ask: Ask = SetBudgetAsk(budget_w=given.watts, peak_w=given.peak, for_s=given.for_s)
    elif given.peak is not None or given.for_s is not None:
        raise AdminRefused(
            "malformed", "--for and --peak belong to watts: edged budget 3.0 --for 2h"
        )
    else:
        ask = ResetBudgetAsk() if given.watts == RESET else StatusAsk()
    return _tell(_settings(given), ask, given, budget_lines)


def _settings(given: argparse.Namespace) -> config.Config:
    settings = config.load(given.config)
    if given.socket is None:
        return settings
    admin = settings.admin.model_copy(update={"socket": given.socket})
    return settings.model_copy(update={"admin": admin})


def _tell(
    settings: config.Config, ask: Ask, given: argparse.Namespace, shown: Callable[[Answer], str]
) -> int:
    return _show(asked(settings, ask), given, shown)


def _show(answer: Answer, given: argparse.Namespace, shown: Callable[[Answer], str]) -> int:
    if answer.warning is not None:
        print(f"edged: {answer.warning}", file=sys.stderr)
    print(json.dumps(_for_machines(answer), ensure_ascii=False) if given.json else shown(answer))
    return 0


def _for_machines(answer: Answer) -> dict[str, Any]:
    return {"state": answer.state, "left_s": answer.left_s, "warning": answer.warning}


def _hold(
    command: Literal["pause", "drain"], given: argparse.Namespace, awaited: tuple[str, ...]
) -> int:
    settings = _settings(given)
    code = _tell(settings, HoldAsk(command=command, for_s=given.for_s), given, mode_line)
    while given.wait and _any_left(asked(settings, StatusAsk()), awaited):
        time.sleep(LOOK_S)
    return code


def _any_left(answer: Answer, awaited: tuple[str, ...]) -> bool:
    assert answer.state is not None, "an answer that was not refused has the state"
    return any(answer.state["queue"][name] for name in awaited)
