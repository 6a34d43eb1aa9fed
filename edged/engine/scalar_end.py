"""How a string, number or word can be brought to its end with the fewest bytes.

In:  a place in the grammar, what the text stands in.     Out: endings, shortest first.
Pure. A search by length: of the bytes that may come only a few speak for the rest, and places of
the same length that allow the same bytes behind the same kind of byte count as one. So an ending
may be longer than the shortest; it is never one that the matcher refuses.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from edged.engine.byte_matcher import ByteMatcher

Inside = Literal["fresh", "string", "escape", "bare", "done"]
Advance = Callable[[ByteMatcher, bytes], ByteMatcher | None]

WIDTH_MAX = 24
_DELIMITERS = b",]}"
_CONTAINERS = b"[{"
# Escapes and characters of several bytes make a string longer, so they come last.
_SIMPLE = bytes(byte for byte in range(0x20, 0x7F) if byte != ord("\\"))


@dataclass(order=True, slots=True)
class _Path:
    length: int
    order: int
    text: bytes = field(compare=False)
    at: ByteMatcher = field(compare=False)
    inside: Inside = field(compare=False)


def endings(
    start: ByteMatcher, inside: Inside, advance: Advance
) -> Iterator[tuple[bytes, ByteMatcher]]:
    """Yield texts that end the scalar, and the places behind them.

    Args:
        start: the place behind the text so far.
        inside: what the text so far stands in; `fresh`: nothing of the scalar is there yet.
        advance: `ByteMatcher.after`, counted by whoever bounds the search.
    """
    paths = [_Path(0, 0, b"", start, inside)]
    seen: set[tuple[object, ...]] = set()
    wide: Counter[int] = Counter()
    order = 0
    while paths:
        path = heapq.heappop(paths)
        allowed = b"" if path.inside == "done" else path.at.allowed()
        if _is_end(path, allowed):
            yield path.text, path.at
            continue
        mark = (path.length, path.inside, allowed, _kind(path.text))
        if mark in seen or wide[path.length] >= WIDTH_MAX:
            continue
        seen.add(mark)
        wide[path.length] += 1
        for chunk, then in _steps(path, allowed):
            at = advance(path.at, chunk)
            if at is not None:
                order += 1
                text = path.text + chunk
                heapq.heappush(paths, _Path(len(text), order, text, at, then))


def is_whole(at: ByteMatcher) -> bool:
    """Return whether the number or word in front of this place may end here."""
    return at.is_accepting or any(byte in _DELIMITERS for byte in at.allowed())


def _is_end(path: _Path, allowed: bytes) -> bool:
    if path.inside != "bare":
        return path.inside == "done"
    return path.at.is_accepting or any(byte in _DELIMITERS for byte in allowed)


def _steps(path: _Path, allowed: bytes) -> Iterator[tuple[bytes, Inside]]:
    forced = path.at.forced()
    if forced:
        chunk, inside = _up_to_end(forced, path.inside)
        if chunk:
            yield chunk, inside
        return
    for byte in _speakers(allowed, path.inside):
        yield bytes([byte]), _then(path.inside, byte)


def _kind(text: bytes) -> int:
    """Return what the last byte is: places behind letters and behind signs may differ."""
    last = text[-1:]
    return 2 * last.isdigit() + last.isalpha()


def _up_to_end(text: bytes, inside: Inside) -> tuple[bytes, Inside]:
    """Return the part of `text` that belongs to the scalar."""
    for place, byte in enumerate(text):
        is_over = inside == "bare" and byte in _DELIMITERS
        if inside == "done" or is_over or (inside == "fresh" and byte in _CONTAINERS):
            return text[:place], inside
        inside = _then(inside, byte)
    return text, inside


def _then(inside: Inside, byte: int) -> Inside:
    if inside == "escape":
        return "string"
    if byte == ord('"'):
        return "string" if inside == "fresh" else "done"
    if inside == "string":
        return "escape" if byte == ord("\\") else "string"
    return "bare"


def _speakers(allowed: bytes, inside: Inside) -> bytes:
    """Return the bytes worth trying."""
    if inside == "fresh":
        return bytes(byte for byte in allowed if byte not in _CONTAINERS)
    if inside == "bare":
        return allowed
    simple = bytes(byte for byte in allowed if byte in _SIMPLE)
    return _firsts(simple or allowed)


def _firsts(allowed: bytes) -> bytes:
    """Return all bytes, but of letters and digits that follow each other only the first."""
    every = set(allowed)
    return bytes(byte for byte in allowed if not (_is_later(byte) and byte - 1 in every))


def _is_later(byte: int) -> bool:
    return byte > 0x80 or (chr(byte).isalnum() and chr(byte - 1).isalnum())
