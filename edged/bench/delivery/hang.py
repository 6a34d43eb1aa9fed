"""How soon a board serves again whose engine hangs in the middle of its answers.

In:  a folder, a broker's port.     Out: seconds until the hung engine is ended, and until the next.
The shipped model answers; a stopped process (SIGSTOP) says nothing more, as one whose step hangs.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from edged import config
from edged.bench.delivery.board import Board
from edged.bench.delivery.device import Device, prompts
from edged.bench.system import PROC
from edged.engine.patience import HANG_S

# What follows the silence that is a hang: the look at the clock, and SIGKILL.
KILL_S = 1.0
# Enough for many steps before and after; one must be answered, so that steps are known.
WAITING = 40


@dataclass(frozen=True, slots=True)
class Hung:
    """One engine that hung.

    Attributes:
        started_s: from the daemon's start to its first engine's `ready`.
        ended_s: from the hang to the end of the engine's process.
        ready_s: from there to the next one's `ready`.
    """

    started_s: float
    ended_s: float
    ready_s: float


def ended_s_max() -> float:
    """Return how soon a hung engine is to be ended: noticed 5 s behind a step, then killed."""
    return HANG_S + config.Engine().step_s_max + KILL_S


def hangs(folder: Path, port: int, repeat: int) -> list[Hung]:
    """Hang so many engines, each of a fresh board."""
    return [_hung(folder / f"hangs-{number}", port) for number in range(repeat)]


def _hung(folder: Path, port: int) -> Hung:
    began_s = time.monotonic()
    with Board(folder, port) as board, Device(port) as device:
        board.wait_until_ready()
        started_s = time.monotonic() - began_s
        device.listen(f"{board.topic}/res/+/+")
        device.publish(prompts(board.topic, device.client, WAITING))
        device.next(lambda heard: heard.reply["event"] == "done")
        engine, hung_s = board.pids[1], time.monotonic()
        os.kill(engine, signal.SIGSTOP)
        board.wait(lambda: not (PROC / str(engine)).exists(), "the hung engine is ended")
        gone_s = time.monotonic()
        # It waits half a second before it starts another: this is seen.
        board.wait(lambda: board.state()["engine"]["phase"] != "ready", "the end is noticed")
        board.wait_until_ready()
        ready_s = time.monotonic()
        device.next(lambda heard: heard.reply["event"] == "done")
    return Hung(started_s, gone_s - hung_s, ready_s - gone_s)
