"""Would the module run this classifier on this board? A child process finds out.

In:  the recipe, the SoC.     Out: `Evidence`, or a refusal.
The module raises on junk, returns numbers nobody looks at, and has compiled parts that can crash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from edged.engine.child import Told, asked
from edged.engine.rknn.classifier import Recipe
from edged.errors import EngineUnusable

PROBE = "edged.engine.rknn.probe"
_SOC = re.compile(r"(?i)\b(?:rk3\d{3}|rv1\d{3}b?)")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was said; None for what was not.

    Attributes:
        module: version of rknn-toolkit-lite2.
        platforms: what the model file says of its SoCs.
        runtime: version of librknnrt.
        computes: whether a trial gave one finite value for each label.
    """

    module: str | None = None
    platforms: str | None = None
    runtime: str | None = None
    computes: bool = False


def probe(recipe: Recipe, *, opens: bool) -> Evidence:
    """Ask a child process; only `opens` touches the NPU, whose lock must be held then.

    Raises:
        EngineUnusable: the module failed, crashed, or did not come back.
    """
    shape = f"{1 + recipe.has_mask},{recipe.input_tokens},{len(recipe.labels)}" if opens else ""
    who = f"{recipe.model}: rknn-toolkit-lite2"
    told = asked(PROBE, str(recipe.model), recipe.cores, shape, who=who)
    if told.code != 0:
        raise EngineUnusable(_refusal(recipe, told))
    return _read(told.printed)


def check_platform(evidence: Evidence, recipe: Recipe, soc: str | None) -> None:
    """Refuse a model that names other SoCs than this board's.

    Raises:
        EngineUnusable: it does.
    """
    named = {name.upper() for name in _SOC.findall(evidence.platforms or "")}
    if soc is not None and named and soc.upper() not in named:
        raise EngineUnusable(
            f"{recipe.model}: it was converted for {', '.join(sorted(named))}, and this board has "
            f"the {soc.upper()}; convert it again with target_platform = {soc}"
        )


def _read(printed: Iterable[str]) -> Evidence:
    found: dict[str, object] = {}
    for line in printed:
        if line.startswith("{"):  # the module prints lines of its own
            found |= json.loads(line)
    known = {name: found[name] for name in Evidence.__slots__ if name in found}
    return Evidence(**known)  # type: ignore[arg-type] # our own child wrote them


def _refusal(recipe: Recipe, told: Told) -> str:
    if told.signal is not None:
        return (
            f"{recipe.model}: rknn-toolkit-lite2 ended by {told.signal} when it was asked; does "
            "librknnrt.so go with the kernel driver? `edged doctor` tells"
        )
    last = told.complained[-1] if told.complained else "it said nothing"
    if told.code == 1 and not last.startswith(("Traceback", "RuntimeError")) and ";" in last:
        return last
    return f"{recipe.model}: rknn-toolkit-lite2 failed: {last}; is this a model for this board?"
