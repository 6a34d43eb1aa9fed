"""Who speaks on the admin socket, as the kernel tells it.

In:  a connected socket.     Out: user and group; whether they may give orders, in words where not.
The file's permission bits keep others out already; this holds also where somebody changed them.
"""

from __future__ import annotations

import grp
import pwd
import socket
from dataclasses import dataclass

from edged.unix_socket import peer_ids


@dataclass(frozen=True, slots=True)
class Peer:
    """A process on the other side."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """Return the user's name, or its number where it has none here."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"


def peer_of(connection: socket.socket) -> Peer:
    """Return who is on the other side."""
    _, uid, gid = peer_ids(connection)
    return Peer(uid, gid)


def is_allowed(peer: Peer, own: Peer, mode: int) -> bool:
    """Return whether a peer may give orders: root, edged's own user, by `mode` its group too."""
    if peer.uid in (0, own.uid):
        return True
    return bool(mode & 0o060) and (peer.gid == own.gid or _is_member(peer.name, own.gid))


def _is_member(name: str, gid: int) -> bool:
    try:
        return name in grp.getgrgid(gid).gr_mem
    except KeyError:
        return False
