"""How fast prompts become durable: beside plain paho, and on a disk that syncs slowly.

In:  a folder, a broker's port.     Out: prompts per second, seconds, shares.
The queue stands at the broker before the clock runs: the daemon is stopped in its tracks
(SIGSTOP) while devices publish, and plain paho is away. So neither shares the cores with those who
publish, and both find the same. The times are those of the rows themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.bench.delivery import spool_view
from edged.bench.delivery.board import Board, Tables
from edged.bench.delivery.device import Device, Prompt, is_event, prompts
from edged.bench.delivery.disk import slow_environment
from edged.bench.delivery.drained import TOPIC, plain_paho
from edged.bench.delivery.spool_view import rate
from edged.bench.delivery.used import used

# No bound of the queue is what is measured.
WIDE: Tables = {"spool": {"rows_max": 100_000}, "quota": {"outstanding_max": 1_000_000}}
SIM: Tables = {"engine": {"backend": "sim"}, "model": {"sequences": 16}, **WIDE}
FLOOD, WORK = "flood", "work"
# Of the prompts that the engine answers meanwhile: half a second each, 16 at once.
WORK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Pair:
    """One repetition: plain paho and the daemon, prompts per second, processor s of each prompt."""

    raw_per_s: float
    accepts_per_s: float
    raw_cpu_s: float
    accept_cpu_s: float

    @property
    def share(self) -> float:
        """The daemon's, of plain paho's."""
        return self.accepts_per_s / self.raw_per_s


@dataclass(frozen=True, slots=True)
class Flooded:
    """What a flood of prompts did to a board whose engine was at work.

    Attributes:
        answers: given in the window.
    """

    accepts_per_s: float
    answers: int


def accepting(folder: Path, port: int, count: int) -> Pair:
    """Measure plain paho, then a board that is paused, on queues of the same prompts."""
    with Device(port) as device:
        with plain_paho(port, count) as plain:
            device.publish(prompts(TOPIC, FLOOD, count))
            raw = plain.taken()
        with Board(folder, port, SIM) as board:
            board.wait_until_ready()
            board.pause()
            before_s = used(board.pid).cpu_s
            _drain(board, device, prompts(board.topic, FLOOD, count))
            cpu_s = (used(board.pid).cpu_s - before_s) / count
            accepts_per_s = rate(spool_view.arrivals(folder, FLOOD))
            return Pair(raw.per_s, accepts_per_s, raw.cpu_s, cpu_s)


def flooded(folder: Path, port: int, count: int, window_s: float, preload: Path | None) -> Flooded:
    """Flood a board whose engine decodes; the flood itself waits behind what it answers."""
    slow_environment()
    with Board(folder, port, SIM, preload) as board, Device(port) as device:
        board.wait_until_ready()
        device.publish(_work(board, window_s))
        board.wait(lambda: bool(spool_view.settled_s(folder)), "the engine answers")
        _drain(board, device, prompts(board.topic, FLOOD, count, priority=0))
        began_s = spool_view.arrivals(folder, FLOOD)[0].at_s
        board.wait(
            lambda: spool_view.settled_s(folder)[-1] > began_s + window_s, "the window is over"
        )
        answered = [at_s for at_s in spool_view.settled_s(folder) if 0 < at_s - began_s <= window_s]
        return Flooded(rate(spool_view.arrivals(folder, FLOOD)), len(answered))


def burst_s(folder: Path, port: int, count: int, preload: Path | None) -> float:
    """Return the seconds from the first prompt of a burst to the last `accepted`."""
    slow_environment()
    with Board(folder, port, SIM, preload) as board, Device(port) as device:
        board.wait_until_ready()
        device.listen(f"{board.topic}/res/{FLOOD}/#")
        device.publish(_work(board, 2.0))
        board.wait(lambda: bool(spool_view.settled_s(folder)), "the engine answers")
        asked = prompts(board.topic, FLOOD, count, receipt=True)
        began_s = device.now_s()
        for prompt in asked:
            device.send(prompt)
        heard = [device.next(is_event("accepted")) for _ in asked]
        return heard[-1].at_s - began_s


def _work(board: Board, window_s: float) -> list[Prompt]:
    """Return prompts that keep the engine busy a while longer than a window."""
    count = int(40 * (window_s + 4.0))
    keys = {"template": None, "input": None, "prompt": "say something"}
    return prompts(board.topic, WORK, count, **keys, max_tokens=WORK_TOKENS, priority=7)


def _drain(board: Board, device: Device, asked: list[Prompt]) -> None:
    """Publish while the daemon stands still; return when it has accepted all."""
    board.hold_still()
    device.publish(asked)
    board.go_on()
    count = len(asked)
    board.wait(lambda: spool_view.accepted(board.folder, FLOOD) >= count, f"{count} are accepted")
