"""A network of a test's own: a namespace for the board, and a cable to it that can be pulled out.

In: root.  Out: a command prefix that puts a process into the namespace; the address of our end.
Nothing tells the two ends of a pulled cable: TCP stands, half-open, until somebody times out.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest

End = Literal["cable", "board"]


@dataclass(frozen=True)
class Cable:
    """A cable between this network and the board's.

    Attributes:
        host: our address at it.
        prefix: a command that becomes the rest of its line, inside the board's network.
    """

    namespace: str
    plug: str
    board_plug: str
    host: str

    @property
    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", self.namespace]

    @contextlib.contextmanager
    def pulled(self, end: End) -> Iterator[None]:
        """Take our end out, or the board's interface down, as long as the block."""
        self._set(end, "down")
        try:
            yield
        finally:
            self._set(end, "up")

    def _set(self, end: End, state: str) -> None:
        if end == "cable":
            ip("link", "set", self.plug, state)
        else:
            ip("-n", self.namespace, "link", "set", self.board_plug, state)


@contextlib.contextmanager
def cable() -> Iterator[Cable]:
    """Make a namespace with a cable to it; remove both at the end."""
    number = os.getpid() % 2**14
    # Source: RFC 2544, 198.18.0.0/15 is for tests; four addresses of it, by our process id.
    near, far = (f"198.18.{number // 64}.{number % 64 * 4 + place}" for place in (1, 2))
    made = Cable(f"edged-{number}", f"edged-{number}a", f"edged-{number}b", near)
    ip("netns", "add", made.namespace)
    try:
        peer = ("peer", "name", made.board_plug, "netns", made.namespace)
        ip("link", "add", made.plug, "type", "veth", *peer)
        ip("addr", "add", f"{near}/30", "dev", made.plug)
        ip("-n", made.namespace, "addr", "add", f"{far}/30", "dev", made.board_plug)
        for interface in (made.board_plug, "lo"):
            ip("-n", made.namespace, "link", "set", interface, "up")
        ip("link", "set", made.plug, "up")
        yield made
    finally:
        ip("netns", "del", made.namespace)


def ip(*arguments: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@functools.cache
def is_possible() -> bool:
    """Return whether a namespace with a cable can be had here."""
    if os.geteuid() != 0:
        return False
    try:
        with cable():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


needs_namespaces = pytest.mark.skipif(
    not is_possible(), reason="needs root, ip(8), and a kernel with network namespaces and veth"
)
