"""The chat template inside a GGUF: a conversation written as the model was taught it.

In:  Jinja's source, messages.     Out: `Segment`s.
Pure. Apart from formats.py: the engine of a model that has a format file needs no Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edged.engine.formats import Segment
from edged.engine.frames import Message
from edged.errors import ConfigError, Refusal

# Whatever Python code in a template can do wrong; it comes with the model, not from a device.
_TEMPLATE_ERRORS = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
)


class ChatTemplate:
    """The Jinja template inside a GGUF, rendered in a sandbox with stand-ins for the contents."""

    bos = True
    stop: tuple[str, ...] = ()

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ConfigError(
                f"the model's chat template cannot be used: {error}; give model.format a file"
            ) from error
        self._words = {"bos_token": bos, "eos_token": eos, "add_generation_prompt": True}

    def segments(self, messages: Sequence[Message]) -> list[Segment]:
        """Return the conversation, ready for the answer."""
        stand_ins = [
            {"role": message.role, "content": _stand_in(place)}
            for place, message in enumerate(messages)
        ]
        try:
            rendered = self._template.render(messages=stand_ins, **self._words)
        except _TEMPLATE_ERRORS as error:
            raise Refusal(
                "malformed", f"messages: the model's chat template refused them: {error}"
            ) from error
        return list(_with_contents(rendered, messages))


# Private use characters: no chat template has them, and contents never pass through Jinja.
_STAND_IN = re.compile("\ue0f0([0-9]+)\ue0f1")


def _stand_in(place: int) -> str:
    return f"\ue0f0{place}\ue0f1"


def _with_contents(rendered: str, messages: Sequence[Message]) -> Iterable[Segment]:
    parts = _STAND_IN.split(rendered)
    if not {str(place) for place in range(len(messages))} <= set(parts[1::2]):
        raise Refusal("malformed", "messages: the model's chat template leaves one of them out")
    for place, part in enumerate(parts):
        yield Segment(messages[int(part)].content, False) if place % 2 else Segment(part, True)


def _refuse(message: str) -> None:
    raise TemplateError(message)
