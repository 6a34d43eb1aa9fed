"""What is left of an answer's cap: may the next tokens be taken, or is it time to close?

In:  the tokens that would come next, with their bytes.     Out: yes, or the closing's tokens.
Threads: `Closings` is kept with its schema; a `Room` belongs to one answer. The rule that keeps
every answer within its cap: tokens are taken only where the closing behind them still fits, and
so the closing in front of them always does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llguidance import LLTokenizer

from edged.engine.closing import STEPS_MAX, Closer
from edged.engine.closing_bound import ClosingBound

# An answer whose closing was not found goes on for as long as it has more tokens than this left.
UNKNOWN_TOKENS = 64
# A name with its comma and colon: a piece by itself for whoever counts before there is a closing.
_MEMBER = re.compile(rb'(,?"(?:[^"\\]|\\.)*+":)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Closings:
    """Closes the answers of one schema in tokens of the model."""

    closer: Closer
    bound: ClosingBound
    tokenizer: LLTokenizer

    def tokens(self, text: bytes, steps_max: int = STEPS_MAX) -> tuple[int, ...] | None:
        """Return the tokens that complete `text`; None when none were found."""
        closing = self.closer.closing(text, steps_max)
        if closing is None:
            return None
        # What ends a character that was cut is no text for a tokenizer.
        head = next((n for n, byte in enumerate(closing) if byte & 0xC0 != 0x80), len(closing))
        cut = [closing[place : place + 1] for place in range(head)]
        ways = ([*cut, closing[head:]], [*cut, *_MEMBER.split(closing[head:])])
        tokens = min(map(self._tokenised, ways), key=len)
        return tokens if self.tokenizer.decode_bytes(list(tokens)) == closing else None

    def _tokenised(self, parts: list[bytes]) -> tuple[int, ...]:
        return tuple(token for part in parts for token in self.tokenizer.tokenize_bytes(part))


@dataclass(slots=True)
class Room:
    """The cap of one answer.

    Attributes:
        text: the answer's bytes so far.
        used_tokens: its tokens so far.
        chosen_bytes: where its last token ends that the model chose.
        closing: tokens that complete it here; None when nobody looked, or found none.
    """

    closings: Closings
    cap_tokens: int
    text: bytes = b""
    used_tokens: int = 0
    chosen_bytes: int = 0
    closing: tuple[int, ...] | None = field(default=None)

    def takes(self, pieces: list[bytes], *, is_chosen: bool) -> bool:
        """Take the next tokens, if the answer can be closed behind them; else have `closing`."""
        text = self.text + b"".join(pieces)
        left = self.cap_tokens - self.used_tokens - len(pieces)
        closing = None
        if left < self.closings.bound.tokens_max(text):
            closing = self.closings.tokens(text)
            if not _fits(closing, left) and self._can_close(left, is_known=closing is not None):
                return False
        self.text, self.closing = text, closing
        self.used_tokens += len(pieces)
        self.chosen_bytes = len(text) if is_chosen else self.chosen_bytes
        return True

    def _can_close(self, left: int, *, is_known: bool) -> bool:
        """Return whether the answer is to be closed in front of the next tokens, and can be."""
        if not is_known and left > UNKNOWN_TOKENS:
            return False
        if self.closing is None:
            self.closing = self.closings.tokens(self.text)
        return _fits(self.closing, self.cap_tokens - self.used_tokens)


def _fits(closing: tuple[int, ...] | None, left: int) -> bool:
    return closing is not None and len(closing) <= left
