"""Would the module run this classifier on this board? A child process finds out.

In:  the recipe, the SoC.     Out: `Evidence`, or a refusal.
The module raises on junk, returns numbers nobody looks at, and has compiled parts that can crash.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass

from edged.engine.rknn.classifier import Recipe
from edged.errors import EngineUnusable

PROBE_S_MAX = 60.0
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
    command = [sys.executable, "-m", "edged.engine.rknn.probe"]
    command += [str(recipe.model), recipe.cores, shape]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineUnusable(
            f"{recipe.model}: rknn-toolkit-lite2 does not come back within {PROBE_S_MAX:.0f} s; "
            "end whatever else uses the NPU, or restart the board"
        ) from error
    if done.returncode != 0:
        raise EngineUnusable(_refusal(recipe, done))
    return _read(done.stdout)


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


def _read(printed: str) -> Evidence:
    told: dict[str, object] = {}
    for line in printed.splitlines():
        if line.startswith("{"):  # the module prints lines of its own
            told |= json.loads(line)
    known = {name: told[name] for name in Evidence.__slots__ if name in told}
    return Evidence(**known)  # type: ignore[arg-type] # our own child wrote them


def _refusal(recipe: Recipe, done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return (
            f"{recipe.model}: rknn-toolkit-lite2 ended by {name} when it was asked; does "
            "librknnrt.so go with the kernel driver? `edged doctor` tells"
        )
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if done.returncode == 1 and not last.startswith(("Traceback", "RuntimeError")) and ";" in last:
        return last
    return f"{recipe.model}: rknn-toolkit-lite2 failed: {last}; is this a model for this board?"
