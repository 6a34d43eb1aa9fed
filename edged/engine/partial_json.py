"""Where the text of an unfinished answer stands: what is open, and what comes next.

In:  the bytes of compact JSON, cut anywhere.     Out: `Partial`.
Pure. The text is trusted to be the beginning of valid JSON: the matcher has let every byte pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

# fresh: a value comes next; string, escape, bare: inside a value, the last two inside `\` and
# inside a number or word; key, key_escape: inside a name, or before its first quote; colon: behind
# it; after: a value is whole, or its container has just been opened.
Place = Literal["fresh", "string", "escape", "bare", "key", "key_escape", "colon", "after"]

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_STRING_CUT = re.compile(rb'"(?:[^"\\]|\\.)*+(\\?)\Z', re.DOTALL)
_BARE = re.compile(rb"[-+.0-9A-Za-z]+")


@dataclass(slots=True)
class Open:
    """An object or a list that is not closed yet.

    Attributes:
        names: an object's keys so far, as JSON text with their quotes.
        count: a list's items so far, the one in progress included.
    """

    is_object: bool
    names: list[bytes] = field(default_factory=list)
    count: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands in it: the next member needs no comma."""
        return not self.names and not self.count


@dataclass(slots=True)
class Partial:
    """An unfinished text.

    Attributes:
        frames: what is open, outermost first.
        begun: the text of the name or string in progress, from its quote on; empty before it.
    """

    frames: list[Open] = field(default_factory=list)
    place: Place = "fresh"
    begun: bytes = b""


def read(text: bytes) -> Partial:
    """Return where `text` stops."""
    partial, at = Partial(), 0
    while at < len(text):
        at = _step(partial, text, at)
    return partial


def _step(partial: Partial, text: bytes, at: int) -> int:
    byte = text[at : at + 1]
    if byte in (b"}", b"]"):
        partial.frames.pop()
        partial.place = "after"
    elif byte == b",":
        _next_member(partial)
    elif byte == b":":
        partial.place = "fresh"
    elif byte == b'"':
        return _string(partial, text, at)
    else:
        return _value(partial, text, at)
    return at + 1


def _next_member(partial: Partial) -> None:
    frame = partial.frames[-1]
    partial.place, partial.begun = ("key" if frame.is_object else "fresh"), b""
    frame.count += not frame.is_object


def _value(partial: Partial, text: bytes, at: int) -> int:
    _begin_item(partial)
    if text[at : at + 1] in (b"{", b"["):
        partial.frames.append(Open(is_object=text[at : at + 1] == b"{"))
        partial.place = "after"
        return at + 1
    found = _BARE.match(text, at)
    end = len(text) if found is None else found.end()
    partial.place = "bare" if end == len(text) else "after"
    return end


def _string(partial: Partial, text: bytes, at: int) -> int:
    found = _STRING.match(text, at)
    end = len(text) if found is None else found.end()
    is_key = _is_before_key(partial)
    if not is_key:
        _begin_item(partial)
    if found is not None:
        if is_key:
            partial.frames[-1].names.append(found[0])
        partial.place = "colon" if is_key else "after"
        return end
    cut = _STRING_CUT.match(text, at)
    is_escape = cut is not None and bool(cut[1])
    partial.begun = text[at:]
    if is_key:
        partial.place = "key_escape" if is_escape else "key"
    else:
        partial.place = "escape" if is_escape else "string"
    return end


def _is_before_key(partial: Partial) -> bool:
    if partial.place == "key":
        return True
    return partial.place == "after" and partial.frames[-1].is_object


def _begin_item(partial: Partial) -> None:
    # A later item was counted at its comma.
    if partial.frames and not partial.frames[-1].is_object and partial.place == "after":
        partial.frames[-1].count += 1
