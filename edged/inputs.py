"""Fixed devices: topics and payloads that no one can change, mapped to templates.

In:  `[[input]]` of the configuration, a message on one of its topics.     Out: who it speaks for,
and the request that it means.
Pure. Does not know: whether the template exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edged import config
from edged.contract import Inbound, Request
from edged.errors import ConfigError, Refusal
from edged.requests import check_transport, decoded, json_object
from edged.topics import Address, is_id, is_publishable, levels, matches

_LEVEL = re.compile(r"\{(\d+)\}")


@dataclass(frozen=True, slots=True)
class Mapped(Address):
    """The address that a fixed device's topic stands for, and its rule."""

    rule: config.Input | None = None

    def request(self, inbound: Inbound, prompt_bytes_max: int) -> Request:
        """Return the request that the payload means.

        Raises:
            Refusal: `retained`, `too_large`, `not_utf8`, or `malformed` when the device's JSON
                lacks a key.
        """
        assert self.rule is not None
        check_transport(inbound, prompt_bytes_max)
        text = decoded(inbound.payload)
        return Request(template=self.rule.template, input=_input(text, self.rule))


class InputMap:
    """The rules of `[[input]]`, in the file's order; the first that matches counts.

    Raises:
        ConfigError: a rule names a topic level that its filter does not have.
    """

    def __init__(self, rules: Sequence[config.Input]) -> None:
        self._rules = tuple(rules)
        for place, rule in enumerate(rules):
            _check(place, rule)

    @property
    def filters(self) -> tuple[str, ...]:
        """Return what is to be subscribed for them."""
        return tuple(dict.fromkeys(rule.topic for rule in self._rules))

    def match(self, topic: str) -> Mapped | None:
        """Return who a topic speaks for; None when no rule matches."""
        for rule in self._rules:
            if matches(rule.topic, topic):
                found = levels(rule.topic, topic)
                reply = None if rule.reply_topic is None else _filled(rule.reply_topic, found)
                if reply is not None and not is_publishable(reply):
                    reply = None  # its levels make no topic: the usual reply topic is left
                return Mapped("req", _filled(rule.client, found), None, reply, rule)
        return None


def _input(text: str, rule: config.Input) -> str | dict[str, Any]:
    if rule.input is None:
        if not text.strip():
            raise Refusal("malformed", "the payload is empty")
        return text
    table = json_object(text)
    missing = [key for key in rule.input.values() if key not in table]
    if missing:
        raise Refusal("malformed", f"the device's JSON lacks: {', '.join(missing)}")
    return {variable: table[key] for variable, key in rule.input.items()}


def _filled(pattern: str, found: Sequence[str]) -> str:
    return _LEVEL.sub(lambda place: found[int(place[1]) - 1], pattern)


def _check(place: int, rule: config.Input) -> None:
    wildcards = rule.topic.split("/").count("+")
    for key, pattern in (("client", rule.client), ("reply_topic", rule.reply_topic or "")):
        wrong = [n for n in _numbers(pattern) if not 1 <= n <= wildcards]
        if wrong:
            raise ConfigError(
                f"input.{place}.{key} = {pattern!r}: {{{wrong[0]}}}, but the topic has "
                f"{wildcards} levels of +"
            )
    if not is_id(_LEVEL.sub("x", rule.client)):
        raise ConfigError(f"input.{place}.client = {rule.client!r}: makes no id from topic levels")
    if rule.reply_topic is not None and not is_publishable(_LEVEL.sub("x", rule.reply_topic)):
        raise ConfigError(
            f"input.{place}.reply_topic = {rule.reply_topic!r}: no topic to publish to"
        )


def _numbers(pattern: str) -> Iterable[int]:
    return (int(found) for found in _LEVEL.findall(pattern))
