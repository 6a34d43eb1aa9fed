"""The commands of docs/boards.md, in their order, each with where it can be tried.

In: the page.  Out: `Block`s. Every block of commands on the page has a mark, which readers do not
see, on the line above it: `<!-- arm64: run -->`, `run with network`, `on the computer`, `copy`, or
`not run: REASON`. So nothing on the page is left out by accident.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal, get_args

Place = Literal["run", "run with network", "on the computer", "copy"]
# As the page calls root's home on the board; what stands behind it is a folder there.
BOARD = "root@BOARD:"
BLOCK = re.compile(r"(?:^<!-- arm64: (?P<mark>.+?) -->\n)?^```sh\n(?P<script>.*?)^```", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of commands.

    Attributes:
        place: where it is run; None: it is not. `copy`: it is scp, whose work the tool does.
        reason: why it is not run.
    """

    line: int
    script: str
    place: Place | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """Files of the computer, as patterns from the checkout, and the folder on the board."""

    patterns: tuple[str, ...]
    folder: str


class GuideError(Exception):
    """A block of the page has no mark, one that means nothing, or one that does not fit it."""


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


def copies(block: Block) -> list[Copy]:
    """Return what the lines of a block that is marked `copy` bring to the board.

    Raises:
        GuideError: a line is no scp to the board.
    """
    return [_copy(line, block) for line in block.script.splitlines() if line.strip()]


def _copy(line: str, block: Block) -> Copy:
    program, *words = shlex.split(line)
    places = [word for word in words if not word.startswith("-")]
    if program != "scp" or len(places) < 2 or not places[-1].startswith(BOARD):
        raise GuideError(f"the block at line {block.line} is to be copied, and is no scp: {line}")
    return Copy(tuple(places[:-1]), places[-1].removeprefix(BOARD) or "/root")
