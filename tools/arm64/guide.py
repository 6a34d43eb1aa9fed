"""The commands of docs/boards.md, in their order, each with where it can be tried.

In: the page.  Out: `Block`s. Every block of commands on the page has a mark, which readers do not
see, on the line above it: `<!-- arm64: run -->`, `run with network`, `on the computer`, or
`not run: REASON`. So nothing on the page is left out by accident.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Place = Literal["run", "run with network", "on the computer"]
BLOCK = re.compile(r"(?:^<!-- arm64: (?P<mark>.+?) -->\n)?^```sh\n(?P<script>.*?)^```", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of commands.

    Attributes:
        place: where it is run; None: it is not.
        reason: why it is not run.
    """

    line: int
    script: str
    place: Place | None
    reason: str = ""


class GuideError(Exception):
    """A block of the page has no mark, or one that means nothing."""


def blocks(page: str) -> list[Block]:
    """Return the page's blocks of commands.

    Raises:
        GuideError: one has no mark that means anything; with its line.
    """
    return [_block(found, page) for found in BLOCK.finditer(page)]


def _block(found: re.Match[str], page: str) -> Block:
    line = page.count("\n", 0, found.start("script"))
    mark = found["mark"] or "no mark"
    for place in get_args(Place):
        if mark == place:
            return Block(line, found["script"], place)
    before, _, reason = mark.partition("not run: ")
    if before or not reason:
        raise GuideError(f"the block of commands at line {line} has {mark}")
    return Block(line, found["script"], None, reason)
