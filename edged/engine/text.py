"""Bytes of tokens become text that can be sent: whole characters, cut at stop strings.

In:  the bytes of each token.     Out: new text, as soon as it is certain, as it is to be told.
Pure. Does not know: tokens, sequences.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable


class AnswerText:
    """The text of one answer as it grows.

    Args:
        stop: texts that end it.
        expand: makes what is told of each certain piece; as it is, unless the form is compact.

    Attributes:
        text: what is told so far.
        is_stopped: whether a stop string was met; it and what follows are not part of the text.
    """

    def __init__(self, stop: tuple[str, ...] = (), expand: Callable[[str], str] = str) -> None:
        self.text = ""
        self.is_stopped = False
        self._stop = tuple(word for word in stop if word)
        self._held = ""
        self._expand = expand
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> str:
        """Return the text that became certain with this token's bytes."""
        if self.is_stopped:
            return ""
        self._held += self._decoder.decode(piece)
        cut = _first_stop(self._held, self._stop)
        if cut is not None:
            self.is_stopped = True
            return self._release(cut)
        return self._release(len(self._held) - _open_stop_chars(self._held, self._stop))

    def finish(self) -> str:
        """Return what was held back, at the end of the answer; half a character becomes U+FFFD."""
        if self.is_stopped:
            return ""
        self._held += self._decoder.decode(b"", final=True)
        return self._release(len(self._held))

    def _release(self, count: int) -> str:
        certain, self._held = self._held[:count], self._held[count:]
        told = self._expand(certain)
        self.text += told
        return told


def _first_stop(text: str, stop: tuple[str, ...]) -> int | None:
    return min((at for word in stop if (at := text.find(word)) >= 0), default=None)


def _open_stop_chars(text: str, stop: tuple[str, ...]) -> int:
    """Return how many last characters could be the beginning of a stop string."""
    longest = max((len(word) for word in stop), default=1) - 1
    for count in range(min(longest, len(text)), 0, -1):
        if any(word.startswith(text[-count:]) for word in stop):
            return count
    return 0
