"""How long one prompt takes to be accepted, with an empty spool and with a full one.

In:  a folder, a broker's port.     Out: medians, s.
Two boards at one broker take turns, prompt by prompt. Both are paused, so that no answer takes the
processor. The full one has as many prompts waiting as the configuration's default allows, less
those asked here; the rest of its rows were delivered and are kept for repetitions.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from edged.bench.delivery import spool_view
from edged.bench.delivery.board import Board, Tables
from edged.bench.delivery.device import Device, Prompt, is_event, prompts
from edged.config import Spool

CLIENT = "asks"
TABLES: Tables = {"engine": {"backend": "sim"}, "spool": {"bytes_max": 2**31}}


@dataclass(frozen=True, slots=True)
class Latency:
    """From the publish to `accepted`, median s."""

    empty_s: float
    full_s: float

    @property
    def ratio(self) -> float:
        """The full one's, of the empty one's."""
        return self.full_s / self.empty_s


def latency(folder: Path, port: int, rows: int, count: int) -> Latency:
    """Ask both boards `count` prompts each, after as many that nobody times."""
    waiting = min(rows, Spool().rows_max - 2 * count)
    spool_view.fill(folder / "full", waiting=waiting, delivered=rows - waiting)
    with (
        Board(folder / "empty", port, TABLES) as empty,
        Board(folder / "full", port, TABLES) as full,
        Device(port, CLIENT) as device,
    ):
        boards = (empty, full)
        for board in boards:
            board.wait_until_ready()
            board.pause()
            device.listen(f"{board.topic}/res/{CLIENT}/#")
        asked = [prompts(board.topic, CLIENT, 2 * count, receipt=True) for board in boards]
        took = [
            [_accepted_s(device, prompt) for prompt in pair] for pair in zip(*asked, strict=True)
        ]
    empty_s, full_s = zip(*took[count:], strict=True)
    return Latency(statistics.median(empty_s), statistics.median(full_s))


def _accepted_s(device: Device, prompt: Prompt) -> float:
    began_s = device.now_s()
    device.send(prompt)
    return device.next(is_event("accepted")).at_s - began_s
