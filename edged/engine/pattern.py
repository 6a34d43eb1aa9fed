"""How many characters a regular expression can match.

In:  the `pattern` of a schema.     Out: least and greatest number of characters.
Pure. Reads the plain part of the language; for the rest it answers 0 and None, which is safe.
"""

from __future__ import annotations

import math
import re

_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_ESCAPE = re.compile(r"\\(?:[dDwWsS]|[^\w\s])")
_REPEAT = re.compile(r"\{(\d+)(,?)(\d*)\}|[*+?]")
_PLAIN = re.compile(r"[^\\\[\](){}|*+?^$]")

Width = tuple[float, float]


def width(pattern: str) -> tuple[int, int | None]:
    """Return the least and the greatest number of characters a pattern matches.

    An unanchored pattern matches inside longer text, so its greatest number is None.
    """
    anchored = re.fullmatch(r"\^(.*)\$", pattern, re.DOTALL)
    if anchored is None:
        return 0, None
    reader = _Reader(anchored[1])
    try:
        low, high = reader.alternatives()
    except _NotPlain:
        return 0, None
    if not reader.is_at_end() or reader.has_top_level_choice:
        return 0, None
    return int(low), None if math.isinf(high) else int(high)


class _NotPlain(Exception):
    """The pattern uses something this reader does not know."""


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self.has_top_level_choice = False

    def is_at_end(self) -> bool:
        """Return whether all of the pattern was read."""
        return self._at == len(self._pattern)

    def alternatives(self) -> Width:
        """Return the width of `a|b|c` up to the closing bracket or the end."""
        low, high = self._run()
        while self._take("|"):
            self.has_top_level_choice |= self._depth == 0  # ^a|b$ anchors neither side fully
            more_low, more_high = self._run()
            low, high = min(low, more_low), max(high, more_high)
        return low, high

    def _run(self) -> Width:
        low = high = 0.0
        while not self.is_at_end() and self._pattern[self._at] not in "|)":
            least, greatest = self._atom()
            few, many = self._repeat()
            low += least * few
            high += greatest * many if greatest else 0
        return low, high

    def _atom(self) -> Width:
        if self._take("("):
            if self._take("?") and not self._take(":"):
                raise _NotPlain
            self._depth += 1
            inner = self.alternatives()
            self._depth -= 1
            if not self._take(")"):
                raise _NotPlain
            return inner
        for single in (_CLASS, _ESCAPE, _PLAIN):
            if self._match(single):
                return 1, 1
        raise _NotPlain

    def _repeat(self) -> Width:
        found = self._match(_REPEAT)
        if found is None:
            return 1, 1
        self._take("?")
        if found[0] in "*+?":
            return {"*": (0, math.inf), "+": (1, math.inf), "?": (0, 1)}[found[0]]
        few = int(found[1])
        if not found[2]:
            return few, few
        return few, int(found[3]) if found[3] else math.inf

    def _take(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        found = expression.match(self._pattern, self._at)
        if found is not None:
            self._at = found.end()
        return found
