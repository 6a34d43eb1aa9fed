"""Reads a device tree blob (DTB): its nodes and their properties.

In: the bytes of a .dtb or .dtbo.  Out: path of each node -> its properties' bytes.
Source: Devicetree Specification 0.4, chapter 5, "Flattened Devicetree (DTB) Format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from tools.firmware_config.errors import Refusal

MAGIC = 0xD00DFEED
BEGIN_NODE, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9

# "/" is the root; a node's path is its parent's, a slash, and its own name.
Tree: TypeAlias = Mapping[str, Mapping[str, bytes]]


def read_tree(blob: bytes, origin: str) -> Tree:
    """Return every node of a blob.

    Args:
        blob: the file's bytes.
        origin: what it is called, for the refusal.

    Raises:
        Refusal: these are not the bytes of a whole device tree.
    """
    try:
        return _nodes(blob)
    except (struct.error, ValueError, IndexError) as error:
        raise Refusal(f"{origin} is no device tree: {error}") from error


def children(tree: Tree, path: str) -> frozenset[str]:
    """Return the names of a node's children."""
    prefix = path.rstrip("/") + "/"
    below = (other.removeprefix(prefix) for other in tree if other.startswith(prefix))
    return frozenset(name for name in below if name and "/" not in name)


def strings(value: bytes) -> list[str]:
    """Return the strings of a property such as `compatible`."""
    return [part.decode("utf-8", "replace") for part in value.split(b"\0") if part]


def _nodes(blob: bytes) -> Tree:
    magic, _, tokens_at, names_at = struct.unpack_from(">4I", blob)
    if magic != MAGIC:
        raise ValueError(f"it begins with {magic:#010x}, not {MAGIC:#010x}")
    nodes: dict[str, dict[str, bytes]] = {}
    path: list[str] = []
    for token, name, value in _tokens(blob, tokens_at, names_at):
        if token == BEGIN_NODE:
            path.append(name)
            nodes["/".join(path) or "/"] = {}
        elif token == END_NODE:
            path.pop()
        else:
            nodes["/".join(path) or "/"][name] = value
    return nodes


def _tokens(blob: bytes, at: int, names_at: int) -> Iterator[tuple[int, str, bytes]]:
    """Yield (token, name, value); tokens and what follows them lie on multiples of 4 bytes."""
    while True:
        (token,) = struct.unpack_from(">I", blob, at)
        at += 4
        if token == END:
            return
        if token == BEGIN_NODE:
            name = _text(blob, at)
            at += len(name) + 1
            yield token, name, b""
        elif token == PROP:
            size, name_at = struct.unpack_from(">2I", blob, at)
            at += 8 + size
            yield token, _text(blob, names_at + name_at), blob[at - size : at]
        elif token == END_NODE:
            yield token, "", b""
        elif token != NOP:
            raise ValueError(f"token {token} at byte {at - 4}")
        at = (at + 3) & ~3


def _text(blob: bytes, at: int) -> str:
    return blob[at : blob.index(b"\0", at)].decode("ascii")
