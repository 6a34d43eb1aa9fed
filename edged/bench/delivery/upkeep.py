"""What the delivery costs beside its rate: bytes on the disk, seconds after a crash, idle wakeups.

In:  a folder, a broker's port.     Out: bytes, seconds, wakeups, shares of a core.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.bench.delivery import spool_view
from edged.bench.delivery.board import Board, Tables
from edged.bench.delivery.device import Device, Heard, Prompt, prompts
from edged.bench.delivery.disk import written_bytes
from edged.bench.delivery.rates import FLOOD, SIM, WIDE
from edged.bench.delivery.used import used

PAGE_BYTES = 4096
# The answers of what is written down: short ones, so that a thousand take half a minute.
ANSWER_TOKENS = 8
# Behind a board's last step the meter is read for 15 s; then it is idle.
SETTLE_S = 20.0


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes that the daemon wrote to the disk, for each prompt.

    Each counts from the first publish until SQLite's log is folded into the file.

    Attributes:
        accepted: of a burst to a board that starts none.
        answered: of a burst of short prompts, until all outcomes are delivered.
        single: as `answered`, of prompts that come one by one.
        row: size of a row of the first burst.
    """

    accepted: float
    answered: float
    single: float
    row: float

    @property
    def bound(self) -> float:
        """Three rows and one page."""
        return 3 * self.row + PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Idle:
    """What daemon and engine do together with nothing to do.

    Attributes:
        wakeups_per_s: times a thread slept and was woken.
        cpu_share: of one core.
    """

    wakeups_per_s: float
    cpu_share: float


def written(folder: Path, port: int, count: int, singles: int) -> Written:
    """Measure on two boards: one answers, one is paused."""
    tables: Tables = {**SIM, "model": {"sequences": 32}}
    with Board(folder / "answers", port, tables) as board, Device(port) as device:
        board.wait_until_ready()
        asked = _short(board, count, "b")
        is_delivered = _delivered(board, count)
        answered = _written(board, lambda: device.publish(asked), is_delivered)
        is_delivered = _delivered(board, count + singles)
        single = _written(board, lambda: _one_by_one(board, device, singles), is_delivered)
    with Board(folder / "paused", port, tables) as board, Device(port) as device:
        board.wait_until_ready()
        board.pause()
        asked = prompts(board.topic, FLOOD, count)
        is_accepted = _accepts(board, len(asked))
        accepted = _written(board, lambda: device.publish(asked), is_accepted)
        row = spool_view.row_bytes(board.folder)
    return Written(accepted / count, answered / count, single / singles, row)


def _short(board: Board, count: int, client: str) -> list[Prompt]:
    keys = {"template": None, "input": None, "prompt": "say something"}
    return prompts(board.topic, client, count, **keys, max_tokens=ANSWER_TOKENS)


def _written(board: Board, work: Callable[[], None], is_over: Callable[[], bool]) -> int:
    """Return the bytes that some work made the daemon write, the log's folding with them."""
    before = written_bytes(board.pid)
    work()
    board.wait(is_over, "all is done")
    board.wait(lambda: spool_view.is_log_empty(board.folder), "SQLite's log is folded in")
    return written_bytes(board.pid) - before


def _accepts(board: Board, count: int) -> Callable[[], bool]:
    return lambda: spool_view.rows(board.folder) == count


def _one_by_one(board: Board, device: Device, count: int) -> None:
    before = spool_view.rows(board.folder)
    for number, prompt in enumerate(_short(board, count, "s"), start=before + 1):
        device.publish([prompt])
        board.wait(_delivered(board, number), "the prompt is delivered")


def _delivered(board: Board, count: int) -> Callable[[], bool]:
    return lambda: spool_view.delivered(board.folder) == count


@dataclass(frozen=True, slots=True)
class Recovered:
    """From the start of a daemon to its `online`, after kill -9: s, and processor s of it."""

    took_s: float
    cpu_s: float


def recovery(folder: Path, port: int, rows: int, repeat: int) -> list[Recovered]:
    """Measure so many starts with so many prompts that wait."""
    spool_view.fill(folder, waiting=rows, delivered=0)
    tables: Tables = {"engine": {"backend": "sim"}, **WIDE}
    taken = []
    with Board(folder, port, tables) as board, Device(port, FLOOD) as device:
        board.wait_until_ready()
        board.pause()
        device.listen(f"{board.topic}/availability")
        for _ in range(repeat):
            board.kill()
            began_s = device.now_s()
            board.start()
            took_s = device.next(_is_online).at_s - began_s
            taken.append(Recovered(took_s, used(board.pid).cpu_s))
            board.wait_until_ready()
    return taken


def _is_online(heard: Heard) -> bool:
    return heard.payload == b"online" and not heard.is_retained


def idle(folder: Path, port: int, measure_s: float, settle_s: float = SETTLE_S) -> Idle:
    """Watch a board with the shipped model, which has nothing to do."""
    with Board(folder, port) as board:
        board.wait_until_ready()
        time.sleep(settle_s)
        before, began_s = [used(pid) for pid in board.pids], time.monotonic()
        time.sleep(measure_s)
        after, lasted_s = [used(pid) for pid in board.pids], time.monotonic() - began_s
    wakeups = sum(now.wakeups - then.wakeups for then, now in zip(before, after, strict=True))
    cpu_s = sum(now.cpu_s - then.cpu_s for then, now in zip(before, after, strict=True))
    return Idle(wakeups / lasted_s, cpu_s / lasted_s)
