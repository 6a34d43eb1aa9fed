"""A prompt becomes tokens: pieces of a template, or a conversation in the model's own format.

In:  `Prompt` of a frame, the vocabulary.     Out: `PromptTokens`.
Pure. Text from a device is tokenised apart, with special tokens off: whatever it says, it cannot
close its own turn. Does not know: schemas, sequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edged.engine.backend import Vocabulary
from edged.engine.frames import Message, Prompt
from edged.engine.sequence import PromptTokens
from edged.errors import ConfigError, Refusal


@dataclass(frozen=True, slots=True)
class Segment:
    """Text of one origin; `is_special` where `<|...|>` in it means a special token."""

    text: str
    is_special: bool


class Format(Protocol):
    """How a model wants a conversation written."""

    @property
    def bos(self) -> bool:
        """Whether the vocabulary's first token goes in front, where it has one."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end an answer beside the vocabulary's own end tokens."""

    def segments(self, messages: Sequence[Message]) -> list[Segment]:
        """Return the conversation, ready for the answer.

        Raises:
            Refusal: `malformed`, when the format has no place for it.
        """


@dataclass(frozen=True, slots=True)
class RoleFormat:
    """A format file.

    Attributes:
        roles: how a turn of each role is written, with `{content}` once.
        answer: what stands before the answer.
        bos: whether the vocabulary's first token goes in front, where it has one.
    """

    roles: Mapping[str, str]
    answer: str
    bos: bool = True
    stop: tuple[str, ...] = ()

    def segments(self, messages: Sequence[Message]) -> list[Segment]:
        """Return the conversation, ready for the answer."""
        segments: list[Segment] = []
        for message in messages:
            if message.role not in self.roles:
                known = ", ".join(sorted(self.roles))
                raise Refusal(
                    "malformed", f"messages: the model has no role {message.role!r}; it has {known}"
                )
            before, _, behind = self.roles[message.role].partition("{content}")
            segments += [
                Segment(before, True),
                Segment(message.content, False),
                Segment(behind, True),
            ]
        return [*segments, Segment(self.answer, True)]


def role_format(table: Mapping[str, Any], origin: Path) -> RoleFormat:
    """Return the format in a table of a format file; `origin` names it in errors.

    Raises:
        ConfigError: names origin, key and what is expected.
    """
    unknown = set(table) - {"roles", "answer", "bos", "stop"}
    if unknown:
        raise ConfigError(f"{origin}: format.{min(unknown)}: unknown key")
    roles, stop = table.get("roles"), table.get("stop", [])
    if not isinstance(roles, Mapping) or not all(
        isinstance(text, str) and text.count("{content}") == 1 for text in roles.values()
    ):
        raise ConfigError(f"{origin}: format.roles: each role is a text with {{content}} once")
    if not isinstance(table.get("answer", ""), str):
        raise ConfigError(f"{origin}: format.answer: it must be a text")
    if not isinstance(table.get("bos", True), bool):
        raise ConfigError(f"{origin}: format.bos: it must be true or false")
    if not isinstance(stop, list) or not all(isinstance(word, str) for word in stop):
        raise ConfigError(f"{origin}: format.stop: it must be a list of texts")
    return RoleFormat(dict(roles), table.get("answer", ""), table.get("bos", True), tuple(stop))


def prompt_tokens(prompt: Prompt, vocabulary: Vocabulary, form: Format) -> PromptTokens:
    """Return the prompt's tokens; its root is what other requests may share.

    Raises:
        Refusal: `malformed`, when the messages do not fit the model's format.
    """
    if prompt.messages:
        return PromptTokens((), tuple(_tokens(form.segments(prompt.messages), vocabulary, form)))
    own = [Segment(prompt.payload, False), Segment(prompt.suffix, True)]
    if not prompt.root:
        return PromptTokens((), tuple(_tokens(own, vocabulary, form)))
    root = tuple(_tokens([Segment(prompt.root, True)], vocabulary, form))
    behind = tuple(_pieces(own, vocabulary))
    # The logits behind the last token are needed, and a root keeps none.
    return PromptTokens(root, behind) if behind else PromptTokens((), root)


def _tokens(segments: Iterable[Segment], vocabulary: Vocabulary, form: Format) -> list[int]:
    tokens = _pieces(segments, vocabulary)
    bos = vocabulary.bos if form.bos else None
    return tokens if bos is None or tokens[:1] == [bos] else [bos, *tokens]


def _pieces(segments: Iterable[Segment], vocabulary: Vocabulary) -> list[int]:
    tokens: list[int] = []
    for segment in segments:
        if segment.text:
            tokens += vocabulary.tokenise(segment.text, special=segment.is_special)
    return tokens
