"""Plain folders that stand for /sys: laid out from manifests, broken by tests."""

from __future__ import annotations

import fcntl
import os
import pwd
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.memory import MEMORY
from tools.sysfs_capture import lay_out

TREES = Path(__file__).parent / "golden_trees"
# Each board, and the chip that hangs on it in a second manifest.
BOARDS = {
    "orangepi_5": "ina226",
    "rock_5b": "ina228",
    "nanopi_r6s": "ina3221",
    "sige5": "ina219",
    "rk3588j": "ina260",
    "mainline": "ina238",
}
EACH_BOARD = pytest.mark.parametrize("board", BOARDS)


def tree(root: Path, *names: str) -> Path:
    """Lay manifests over each other below `root`; return it."""
    for name in names:
        lay_out((TREES / f"{name}.tree").read_text(encoding="utf-8"), root)
    return root


def metered(root: Path, board: str) -> Path:
    """Lay out a board with its chip."""
    return tree(root, board, f"{board}.{BOARDS[board]}")


def hwmon(root: Path, name: str) -> Path:
    """Return the real hwmon folder whose name this is."""
    nodes = (root / "class/hwmon").iterdir()
    return next(one for one in nodes if (one / "name").read_text() == f"{name}\n").resolve()


def renumber(root: Path, name: str, number: int) -> Path:
    """Give a hwmon node another number, as a driver that is bound anew gets one."""
    folder = hwmon(root, name)
    (root / "class/hwmon" / folder.name).unlink()
    moved = folder.rename(folder.parent / f"hwmon{number}")
    target = os.path.relpath(moved, root / "class/hwmon")
    (root / "class/hwmon" / moved.name).symlink_to(target)
    return moved


class Ticks:
    """A clock that tests move."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def step(self, length_s: float) -> None:
        self.now_s += length_s


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="edged-tree-", dir=MEMORY) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user whom mode bits bind; root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


class Deaf:
    """A file that takes every write and reads what it read before: a terminal's other end.

    A terminal gives one line to each read, and what is written goes to whoever holds the far end.
    """

    def __init__(self, reads: str, times: int = 50) -> None:
        self._far, self._near = os.openpty()
        settings = termios.tcgetattr(self._near)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(self._near, termios.TCSANOW, settings)
        os.write(self._far, f"{reads}\n".encode() * times)
        self.path = Path(os.ttyname(self._near))

    def take_place_of(self, path: Path) -> None:
        """Be this file."""
        path.unlink()
        path.symlink_to(self.path)

    def close(self) -> None:
        os.close(self._far)
        os.close(self._near)


class Sealed:
    """A file in memory that reads as it is and that nobody may write, root neither."""

    def __init__(self, reads: str) -> None:
        self._file = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
        os.write(self._file, f"{reads}\n".encode())
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, seals)

    def take_place_of(self, path: Path) -> None:
        """Be this file."""
        path.unlink()
        path.symlink_to(f"/proc/self/fd/{self._file}")

    def close(self) -> None:
        os.close(self._file)


class Ear:
    """Hears which files this process opens; an audit hook can be put on, never off.

    Attributes:
        opened: all of them.
        by_main: those that the main thread opened, where an event loop runs.
    """

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.by_main: list[str] = []
        self.is_open = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.is_open and event == "open" and isinstance(arguments[0], str | Path):
            self.opened.append(str(arguments[0]))
            if threading.current_thread() is threading.main_thread():
                self.by_main.append(str(arguments[0]))

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        self.opened.clear()
        self.by_main.clear()
        self.is_open = True
        try:
            yield self.opened
        finally:
            self.is_open = False


EAR = Ear()
