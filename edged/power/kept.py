"""What the forecast learned, kept over restarts: a small JSON file in the state directory.

In:  `Learned`, the name of the board that taught it.     Out: the same at the next start.
Written whole or not at all. Blocking: the governor calls it off the event loop.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from edged.durable import write_durably
from edged.power.forecast import Learned

log = logging.getLogger(__name__)

FILE = "power.json"
NOTHING = Learned()


@dataclass(frozen=True, slots=True)
class Kept:
    """The file of one state directory; `is_read_only`: somebody only looks at it."""

    path: Path
    is_read_only: bool = False

    def load(self, board: str, start: Learned = NOTHING) -> Learned:
        """Return what this board taught; `start` where there is nothing of use.

        A file that cannot be read as ours is moved aside, and the log says where.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return start
        except (OSError, UnicodeDecodeError) as error:
            self._put_aside(str(error))
            return start
        try:
            table = json.loads(text)
        except ValueError as error:
            self._put_aside(str(error))
            return start
        if not isinstance(table, dict) or not isinstance(table.get("learned"), dict):
            self._put_aside("it is not what edged writes")
            return start
        if table.get("board") != board:
            log.info("%s was learned of %s, not of %s", self.path, table.get("board"), board)
            return start
        return Learned.from_json(table["learned"])

    def save(self, board: str, learned: Learned) -> None:
        """Write it so that a power cut leaves the old file or the new one.

        A disk that refuses costs what was learned since the last time, and is logged.
        """
        text = json.dumps({"board": board, "learned": learned.as_json()}, indent=1)
        try:
            write_durably(self.path, text + "\n")
        except OSError as error:
            log.warning("%s: what was learned is not kept: %s", self.path, error)

    def _put_aside(self, why: str) -> None:
        if self.is_read_only:
            return
        aside = self.path.with_suffix(".broken")
        try:
            self.path.replace(aside)
            log.warning("%s: %s; moved to %s, the forecast starts anew", self.path, why, aside)
        except OSError as error:
            log.warning("%s: %s; the forecast starts anew (%s)", self.path, why, error)
