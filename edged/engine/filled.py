"""Which values of a closed answer the model had no part in.

In:  the whole answer, how many of its first bytes end with a token that the model chose.
Out: the paths of the values behind them, outermost only: `dock`, `lines[2].count`.
Pure. A value counts as the model's own once the model chose any of it: the first digit of a
number, a character of a string behind its quote, the bracket of a list.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_PART = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},:]|[^\[\]{},:"]+', re.DOTALL)


@dataclass(slots=True)
class _Container:
    path: str
    is_object: bool
    name: str | None = None
    count: int = 0

    def inner(self) -> str:
        """Return the path of the value that begins in it."""
        if not self.is_object:
            return f"{self.path}[{self.count}]"
        return f"{self.path}.{self.name}" if self.path else str(self.name)


def filled(answer: bytes, chosen_bytes: int) -> tuple[str, ...]:
    """Return the paths of the values that begin behind the first `chosen_bytes` of `answer`.

    An answer that is no object or list has the path `""`.
    """
    paths: list[str] = []
    around: list[_Container] = []
    hidden_depth: int | None = None
    for part in _PART.finditer(answer):
        first = part[0][:1]
        if first in b"]}":
            around.pop()
            hidden_depth = None if hidden_depth == len(around) else hidden_depth
        elif around and _is_between(part[0], around[-1]):
            continue
        else:
            path = around[-1].inner() if around else ""
            is_container = first in b"[{"
            is_own = chosen_bytes > part.start() + (first == b'"')
            if hidden_depth is None and not is_own and (around or not is_container):
                paths.append(path)
                hidden_depth = len(around) if is_container else None
            if is_container:
                around.append(_Container(path, is_object=first == b"{"))
    return tuple(paths)


def _is_between(part: bytes, container: _Container) -> bool:
    """Take a comma, a colon or a name in; return whether it was one."""
    if part == b",":
        container.count += 1
        container.name = None
        return True
    if part == b":":
        return True
    if container.is_object and container.name is None:
        container.name = json.loads(part)
        return True
    return False
