"""Does the device compute what the CPU does? A child process finds out, before the engine opens it.

In:  a library, a weight type, the backend's environment.     Out: nothing, or a refusal.
A backend of another ggml announces the same interface, loads, and dies at its first use.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from edged.engine.child import Told, asked
from edged.engine.ggml.environment import cleaned, is_of_four_bits
from edged.engine.ggml.sidecar import BUILD_IT
from edged.engine.ggml.trial import Result
from edged.errors import EngineUnusable

TRIAL = "edged.engine.ggml.trial"
# Share of the result's length. Symmetric 8 bits of normal values, each side with a scale for each
# row: below 0.02 (computed); 4 bits: about 0.25. What has nothing to do with the result: 1 or more;
# a third of it missing, as when one of three cores fails: 0.58.
ERROR_MAX, ERROR_MAX_4_BITS = 0.1, 0.4
# What ggml prints of every backend that it takes.
LOADED = "load_backend: loaded"


def prove(library: Path, kind: str, environment: Mapping[str, str]) -> None:
    """Have a child process compare one product of the device with the CPU's.

    Args:
        library: of the backend.
        kind: type of the weights, as GGUF names it.
        environment: the backend's variables.

    Raises:
        EngineUnusable: it crashed, hung, refused, or computed something else.
    """
    who = f"{library}: the trial of its device"
    told = asked(TRIAL, str(library), kind, who=who, environment=cleaned(os.environ, environment))
    result = _read(library, told)
    limit = error_max(kind, environment)
    if result.matmuls == 0:
        raise EngineUnusable(
            f"{library}: its device {result.device} did not execute a product with weights of "
            f"{kind}, which stay on the CPU (so do Q4_K and Q5_K); quantise the model to Q8_0, or "
            "unset npu.library: the CPU computes then"
        )
    if not result.error <= limit:
        raise EngineUnusable(
            f"{library}: its device {result.device} computes something else than the CPU: the "
            f"difference is {result.error:.2f} of the result, {limit:g} is the most; is the kernel "
            "driver the vendor's and nothing else using the NPU? `edged doctor` tells"
        )


def error_max(kind: str, environment: Mapping[str, str]) -> float:
    """Return the difference that quantising to the NPU's types explains."""
    is_few = is_of_four_bits(kind, environment.get("RKNPU_HYBRID"))
    return ERROR_MAX_4_BITS if is_few else ERROR_MAX


def _read(library: Path, told: Told) -> Result:
    if told.signal is not None:
        raise EngineUnusable(
            f"{library}: the trial of its device ended by {told.signal}{_said(told)}; it was built "
            "for another ggml, or its runtime does not go with "
            f"the kernel driver; {BUILD_IT}"
        )
    last = told.printed[-1] if told.printed else ""
    if told.code == 0:
        return Result(**json.loads(last))
    refusal = last if told.code == 1 and last else f"it failed{_said(told)}"
    raise EngineUnusable(refusal if str(library) in refusal else f"{library}: {refusal}")


def _said(told: Told) -> str:
    lines = [line for line in told.complained if not line.startswith(LOADED)]
    return f" ({lines[-1]})" if lines else ""
