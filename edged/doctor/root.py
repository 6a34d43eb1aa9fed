"""Where the doctor looks: the file system, or a folder in its place.

In:  the root, `/` or a folder with a golden tree as its `sys`.     Out: paths below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Root:
    """A file system."""

    path: Path = Path("/")

    @property
    def sys(self) -> Path:
        """Return its /sys, as `edged.board` takes it."""
        return self.path / "sys"

    def at(self, absolute: str) -> Path:
        """Return where an absolute path lies below it."""
        return self.path / absolute.lstrip("/")


def text(path: Path) -> str:
    """Return a small file; empty where it is missing or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
