"""Schema text becomes a matcher that says which tokens may come next, and which one must.

In:  schema text, the vocabulary's llguidance tokenizer.     Out: `Constraint` (per schema, kept)
and `Matcher` (per request).
Threads: `Constraints` belongs to the preparing thread; a `Matcher` moves to the step thread with
its request. Compact JSON only: a model that may write spaces can write them until the cap.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.numpy import allocate_token_bitmask

from edged.engine import schema
from edged.engine.allowed import Allowed
from edged.engine.byte_matcher import ByteMatcher, byte_tokenizer
from edged.engine.closing import Closer
from edged.engine.closing_bound import ClosingBound
from edged.engine.room import Closings
from edged.engine.schema_choice import Choices
from edged.engine.schema_size import compact
from edged.errors import Refusal

COMPILED_MAX = 64
# No \uXXXX: an escape then has 2 bytes and no character more than 4 (see schema_size).
ESCAPES = 'bfnrt"\\'
# Source: llguidance 1.9.1, LLParserLimits: about 50k lexer fuel or 20k items per millisecond on
# a desktop; a board is some five times slower, so no step of the parser takes long.
_LIMITS: dict[str, Any] = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 100_000,
    "step_max_items": 20_000,
    "max_lexer_states": 20_000,
    "max_grammar_size": 100_000,
    "verbose_errors": False,
}


class MatcherFailed(Exception):
    """The schema's automaton gave up in the middle of an answer; its text says why."""


class Matcher:
    """Where one answer stands in its schema."""

    def __init__(self, compiled: LLMatcher, n_vocab: int) -> None:
        self._matcher = compiled
        self._n_vocab = n_vocab
        self._words = allocate_token_bitmask(1, n_vocab)[0]
        # numpy takes its time to say where an array lies.
        self._place = self._words.ctypes.data
        self._last = np.uint32(2**32 - 1 >> -n_vocab % 32).view(np.int32)

    def ahead(self) -> list[int]:
        """Return the tokens that must come next.

        Raises:
            MatcherFailed: the automaton gave up.
        """
        tokens: list[int] = self._matcher.compute_ff_tokens()
        self._raise_if_failed()
        return tokens

    def has(self, token: int) -> bool:
        """Return whether this token may come next, of those that `ahead` leaves a choice between.

        Asked before `allowed`, which looks through the whole vocabulary: most often the model wants
        what it may. Where the automaton gave up nothing may come, and `allowed` says why.
        """
        return bool(self._matcher.validate_tokens([token]))

    def allowed(self) -> Allowed:
        """Return which of the vocabulary's tokens may come next; it holds until the next call.

        Raises:
            MatcherFailed: the automaton gave up, or no token may come.
        """
        self._matcher.unsafe_compute_mask_ptr(self._place, self._words.nbytes)
        self._raise_if_failed()
        self._words[-1] &= self._last  # no tokens are behind the vocabulary's end
        if not self._words.any():
            raise MatcherFailed("no token of the vocabulary continues the answer")
        return Allowed(self._words, self._n_vocab)

    def take(self, *tokens: int) -> None:
        """Take the next tokens.

        Raises:
            MatcherFailed: one of them was not allowed.
        """
        self._matcher.consume_tokens(list(tokens))
        self._raise_if_failed()

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow: the value is whole."""
        return bool(self._matcher.is_stopped())

    @property
    def is_accepting(self) -> bool:
        """Whether the value could end here: a number is whole, yet may go on."""
        return bool(self._matcher.is_accepting())

    def _raise_if_failed(self) -> None:
        if self._matcher.is_error():
            raise MatcherFailed(_first_line(self._matcher.get_error()))


@dataclass(frozen=True, slots=True)
class Constraint:
    """A compiled schema.

    Attributes:
        answer_tokens_min: these suffice for an answer: its closing before anything was written.
            A bound from below where no closing was found.
        answer_tokens_max: no answer has more; None when the schema does not bound it.
        closings: None where no closing was found: such answers fail at their cap.
    """

    compiled: LLMatcher
    n_vocab: int
    answer_tokens_min: int
    answer_tokens_max: int | None
    closings: Closings | None

    def matcher(self) -> Matcher:
        """Return a matcher for one more answer."""
        return Matcher(self.compiled.deep_copy(), self.n_vocab)


class Constraints:
    """Compiles schemas, each once; the least recently used leaves."""

    def __init__(self, tokenizer: LLTokenizer, n_vocab: int, lengths: schema.Lengths) -> None:
        self._tokenizer = tokenizer
        self._n_vocab = n_vocab
        self._lengths = lengths
        self._bytes = byte_tokenizer()
        self._known: OrderedDict[str, Constraint] = OrderedDict()

    def constraint(self, text: str) -> Constraint:
        """Return the compiled schema.

        Raises:
            Refusal: `bad_schema`.
        """
        if text not in self._known:
            self._known[text] = self._compiled(text)
        self._known.move_to_end(text)
        if len(self._known) > COMPILED_MAX:
            self._known.popitem(last=False)
        return self._known[text]

    def _compiled(self, text: str) -> Constraint:
        checked = schema.check(text, self._lengths)
        grammar, limits = grammar_of(checked.schema), parser_limits()
        compiled = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
        if compiled.is_error():
            raise Refusal("bad_schema", f"schema: {_first_line(compiled.get_error())}")
        closings = self._closings(checked.schema, grammar, limits)
        # The first closing finds what later ones reuse. A prompt waits for it, so that it takes no
        # more steps than they: where those are too few, answers fail at their cap.
        least = None if closings is None else closings.tokens(b"")
        if least is None:
            closings, least = None, tuple(self._tokenizer.tokenize_str(checked.shortest))
        # A token has at least one byte.
        return Constraint(compiled, self._n_vocab, max(1, len(least)), checked.bytes_max, closings)

    def _closings(
        self, bounded: dict[str, Any], grammar: str, limits: LLParserLimits
    ) -> Closings | None:
        start = ByteMatcher.begin(self._bytes, grammar, limits)
        if start is None:
            return None
        choices = Choices(bounded)
        closer = Closer(bounded, choices, start)
        bound = ClosingBound(bounded, choices, self._count)
        return Closings(closer, bound, self._tokenizer)

    def _count(self, text: bytes) -> int:
        return len(self._tokenizer.tokenize_bytes(text))


def grammar_of(bounded: dict[str, Any]) -> str:
    """Return llguidance's grammar of a checked schema: compact JSON, keys in the schema's order.

    Raises:
        Refusal: `bad_schema`.
    """
    try:
        grammar: str = LLMatcher.grammar_from_json_schema(
            compact(bounded),
            overrides={"whitespace_flexible": False, "json_allowed_escapes": ESCAPES},
        )
    except ValueError as error:
        raise Refusal("bad_schema", f"schema: {_first_line(str(error))}") from error
    return grammar


def parser_limits() -> LLParserLimits:
    """Return how much work one step of the parser may be."""
    return LLParserLimits(**_LIMITS)


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 240 else line[:240] + " ..."
