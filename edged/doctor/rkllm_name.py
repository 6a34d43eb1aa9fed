"""What the name of a .rkllm file says of it: SoC, quantisation, toolkit.

In:  a path.     Out: `NameSays`. Pure.
The format of the file is not published; its conversion's settings are told by the runtime at the
load (`edged.engine.rkllm.evidence`). Converted models are named after these settings, as
`Qwen2.5-1.5B-Instruct-rk3588-w8a8_g128-opt-1-v1.2.1.rkllm`, so what the name says can be wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SOC = re.compile(r"(?i)(?<![a-z0-9])(rk35\d\d|rv1126b)(?![a-z0-9])")
_QUANTISATION = re.compile(r"(?i)(?<![a-z0-9])(w\d+a\d+)")
# Two points, or a `v` before: the 2.5 of Qwen2.5 is no toolkit.
_TOOLKIT = re.compile(r"(?i)(?<![a-z0-9.])(?:v|toolkit[-_ ]?v?)?(1\.\d+\.\d+)(?![\w.]*\d)")


@dataclass(frozen=True, slots=True)
class NameSays:
    """Words of the name, in lower case; None for what it does not say."""

    soc: str | None = None
    quantisation: str | None = None
    toolkit: str | None = None


def read_name(path: Path) -> NameSays:
    """Return what the name says."""
    return NameSays(*(_found(words, path.stem) for words in (_SOC, _QUANTISATION, _TOOLKIT)))


def _found(words: re.Pattern[str], stem: str) -> str | None:
    match = words.search(stem)
    return None if match is None else match[1].lower()
