"""Files with the KV cache of a template's constant part: written once, loaded at start only.

In:  template roots.     Out: paths to write to, the path to load.
The runtime has crashed both while writing and while loading such files. A mark beside the file
says that it is being tried; where a start finds one, the last process died of it, and that file
is neither written nor loaded again. One cache is loaded, the one whose template was used last: the
runtime has a call to load and one to release, and neither names which.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

FILES_MAX = 8
NEW, CACHE, TRYING, FATAL = ".new", ".cache", ".trying", ".fatal"


@dataclass(slots=True)
class PromptCaches:
    """The files of one model in one version of the runtime.

    Attributes:
        folder: for these files alone.
        owner: names model and runtime; files of others are of no use.
    """

    folder: Path
    owner: str
    _tried: set[Path] = field(default_factory=set)

    def open(self) -> Path | None:
        """Clear up after the last process; return the file to load."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for mark in self.folder.glob(f"*{TRYING}"):
            log.warning("the runtime died of %s; it is not used again", mark.with_suffix(CACHE))
            mark.with_suffix(CACHE).unlink(missing_ok=True)
            mark.replace(mark.with_suffix(FATAL))
        prefix = _hash(self.owner)
        for path in self.folder.iterdir():
            if path.suffix == NEW or not path.name.startswith(prefix):
                path.unlink()
        return max(self._files(), key=lambda path: path.stat().st_mtime, default=None)

    def wanted(self, root: str) -> Path | None:
        """Return where to write the cache of a root seen for the first time; None: nowhere.

        `settle` makes it the root's cache, or throws it away.
        """
        path = self._path(root)
        is_full = len(self._files()) >= FILES_MAX
        if path in self._tried or path.exists() or path.with_suffix(FATAL).exists() or is_full:
            return None
        self._tried.add(path)
        return path.with_suffix(NEW)

    def used(self, root: str) -> None:
        """Take down that a template is in use: its cache is the one to load next time."""
        path = self._path(root)
        if path.exists():
            os.utime(path)

    def mark(self, path: Path) -> None:
        """Say on disk that the runtime is about to touch a file."""
        path.with_suffix(TRYING).touch()

    def settle(self, path: Path, *, is_whole: bool) -> None:
        """Keep what a finished run wrote; what another one wrote may be half a file."""
        if is_whole and path.exists():
            path.replace(path.with_suffix(CACHE))
        path.unlink(missing_ok=True)
        self.unmark(path)

    def unmark(self, path: Path) -> None:
        """Say that the runtime survived."""
        path.with_suffix(TRYING).unlink(missing_ok=True)

    def _path(self, root: str) -> Path:
        return self.folder / f"{_hash(self.owner)}-{_hash(root)}{CACHE}"

    def _files(self) -> list[Path]:
        return list(self.folder.glob(f"{_hash(self.owner)}*{CACHE}"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
