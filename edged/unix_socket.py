"""A listening UNIX socket, for those only who may connect.

In:  a path, permission bits.     Out: a socket that listens; whoever holds the lock beside it owns
the path.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Protocol

from edged.errors import ConfigError

# Source: unix(7), SO_PEERCRED: struct ucred, pid, uid and gid of who called connect or listen.
_UCRED = struct.Struct("iII")


class Connected(Protocol):
    """A socket, or asyncio's view of one."""

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes:
        """Return what the kernel says of it."""


def peer_ids(connection: Connected) -> tuple[int, int, int]:
    """Return pid, uid and gid of who is on the other side, as the kernel tells them."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(found)
    return pid, uid, gid


def listening(path: Path, mode: int, key: str) -> socket.socket:
    """Return a listening socket in the place of what a process that is no more left at `path`.

    Args:
        path: where; its folder is made.
        mode: permission bits; they hold from the first moment on.
        key: the configuration's key that chose the path, for the error.

    Raises:
        ConfigError: nothing can be bound there.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        mask = os.umask(0o777 & ~mode)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{key} = {path}: {error}; the folder must be writable and the path, "
            "as for every UNIX socket, at most 107 bytes long"
        ) from error
    return listener
