"""Exact match of a GGUF file, measured with llama.cpp and llguidance as the engine uses them.

In: a GGUF, the templates, rows. Out: figures per template and field. One sequence at a time,
greedy; forced tokens are appended without sampling. It knows nothing of the daemon.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import llguidance
import llguidance.llamacpp
import llguidance.numpy
import numpy as np

from .dataset import Row, Template, load_templates, payload

CONTEXT_TOKENS = 1024


# llama.cpp narrates every load; the figures are what is wanted here. Kept: C holds a pointer to it.
_QUIET = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)


@dataclass(frozen=True, slots=True)
class Result:
    """One row with what the model said."""

    row: Row
    answer: str

    @property
    def right(self) -> bool:
        """Whether the answer equals the expected one in every field."""
        return bool(self.parsed() == self.row.expected)

    def parsed(self) -> dict[str, Any]:
        """The answer as an object; empty when it was cut off."""
        try:
            value = json.loads(self.answer)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Model:
    """A GGUF file in llama.cpp, one sequence, logits of the last token only."""

    def __init__(self, path: Path, threads: int = 2) -> None:
        llama_cpp.llama_log_set(_QUIET, None)
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ValueError(f"{path}: llama.cpp cannot load it")
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = CONTEXT_TOKENS
        context.n_threads = context.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, context)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.tokenizer = llguidance.llamacpp.lltokenizer_from_vocab(self._vocab)
        self._matchers: dict[str, llguidance.LLMatcher] = {}

    def tokens(self, text: str, *, special: bool, bos: bool = False) -> list[int]:
        """Tokenise one piece of text."""
        raw = text.encode()
        buffer = (llama_cpp.llama_token * (len(raw) + 8))()
        n_tokens = llama_cpp.llama_tokenize(
            self._vocab, raw, len(raw), buffer, len(buffer), bos, special
        )
        return list(buffer[:n_tokens])

    def prompt(self, template: Template, inputs: Any) -> list[int]:
        """Root with BOS, payload with special tokens as plain text, suffix."""
        return [
            *self.tokens(template.root, special=True, bos=True),
            *self.tokens(payload(template, inputs), special=False),
            *self.tokens(template.suffix, special=True),
        ]

    def answer(self, template: Template, inputs: Any) -> str:
        """The greedy answer under the template's schema."""
        matcher = self._matcher(template.schema)
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        mask = llguidance.numpy.allocate_token_bitmask(1, self.n_vocab)
        pending, answer = self.prompt(template, inputs), list[int]()
        for _ in range(CONTEXT_TOKENS):
            forced = matcher.compute_ff_tokens()
            matcher.consume_tokens(forced)
            answer += forced
            pending += forced
            if matcher.is_stopped():
                break
            llguidance.numpy.fill_next_token_bitmask(matcher, mask, 0)
            token = self._best(self._decode(pending), mask)
            matcher.consume_token(token)
            answer.append(token)
            pending = [token]
            if matcher.is_stopped():
                break
        return str(self.tokenizer.decode_str(answer))

    def _matcher(self, schema: str) -> llguidance.LLMatcher:
        if schema not in self._matchers:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(
                schema, overrides={"whitespace_flexible": False}
            )
            self._matchers[schema] = llguidance.LLMatcher(self.tokenizer, grammar)
        return self._matchers[schema].deep_copy()

    def _decode(self, tokens: Sequence[int]) -> np.ndarray[Any, Any]:
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        batch = llama_cpp.llama_batch_get_one(array, len(tokens))
        code = llama_cpp.llama_decode(self._context, batch)
        if code != 0:
            raise ValueError(f"llama_decode returned {code}")
        scores = llama_cpp.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(scores, (self.n_vocab,)).copy()

    def _best(self, scores: np.ndarray[Any, Any], mask: Any) -> int:
        llguidance.numpy.apply_token_bitmask_inplace(scores[None, :], mask)
        return int(scores.argmax())


def check(model: Model, rows: Iterable[Row]) -> list[Result]:
    """Answer every row."""
    templates = load_templates()
    return [Result(row, model.answer(templates[row.template], row.inputs)) for row in rows]


def exact_match(results: Sequence[Result]) -> float:
    """The share of answers that are right in every field."""
    return sum(result.right for result in results) / len(results)


def field_match(results: Sequence[Result]) -> dict[str, float]:
    """The share of right values per field."""
    names = results[0].row.expected
    answers = [(result.parsed(), result.row.expected) for result in results]
    return {
        name: sum(answer.get(name, ...) == expected[name] for answer, expected in answers)
        / len(answers)
        for name in names
    }
