"""What a key of the configuration takes, in words.

In:  a pydantic field.     Out: its range or its choices, for errors and for the example file.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic.fields import FieldInfo


def allowed(item: FieldInfo) -> str:
    """Return the range or the choices of a key in words."""
    words = {}
    for rule in item.metadata:
        for bound in ("ge", "le"):
            if getattr(rule, bound, None) is not None:
                words[bound] = f"{getattr(rule, bound):.12g}"
    if len(words) == 2:
        return f"{words['ge']} to {words['le']}"
    return ", ".join(_choices(item.annotation))


def _choices(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is Literal:
        return [str(choice) for choice in typing.get_args(annotation)]
    kinds = list(plain_types(annotation))
    if bool in kinds:
        return ["true", "false"]
    return ["a path"] if Path in kinds else []


def plain_types(annotation: Any) -> Iterator[type]:
    """Yield the plain types in an annotation."""
    if isinstance(annotation, type):
        yield annotation
    for part in typing.get_args(annotation):
        yield from plain_types(part)
