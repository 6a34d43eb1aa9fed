"""Does the device compute what the CPU does? A child process finds out, before the engine opens it.

In:  a library, a weight type, the backend's environment.     Out: nothing, or a refusal.
A backend of another ggml announces the same interface, loads, and dies at its first use.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from edged.engine.ggml.environment import cleaned
from edged.engine.ggml.sidecar import BUILD_IT
from edged.engine.ggml.trial import Result
from edged.errors import EngineUnusable

TRIAL_S_MAX = 60.0
# Share of the result's length. Symmetric 8 bits of normal values, each side with a scale for each
# row: below 0.02 (computed); 4 bits: about 0.25. What has nothing to do with the result: 1 or more;
# a third of it missing, as when one of three cores fails: 0.58.
ERROR_MAX, ERROR_MAX_4_BITS = 0.1, 0.4
FOUR_BITS = "W4A4"
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
    result = _read(library, _finished(library, kind, environment))
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
    hybrid = environment.get("RKNPU_HYBRID")
    is_few = FOUR_BITS in hybrid if hybrid is not None else kind in ("Q4_0", "Q6_K")
    return ERROR_MAX_4_BITS if is_few else ERROR_MAX


def _finished(
    library: Path, kind: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edged.engine.ggml.trial", str(library), kind]
    try:
        return subprocess.run(
            command,
            env=cleaned(os.environ, environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineUnusable(
            f"{library}: the device does not come back from one product of matrices within "
            f"{TRIAL_S_MAX:.0f} s; end whatever else uses the NPU, or restart the board"
        ) from error


def _read(library: Path, finished: subprocess.CompletedProcess[str]) -> Result:
    lines = finished.stdout.splitlines() or [""]
    if finished.returncode < 0:
        name = signal.Signals(-finished.returncode).name
        raise EngineUnusable(
            f"{library}: the trial of its device ended by {name}{_said(finished)}; it was built "
            "for another ggml, or its runtime does not go with "
            f"the kernel driver; {BUILD_IT}"
        )
    if finished.returncode == 0:
        return Result(**json.loads(lines[-1]))
    refusal = lines[-1] if finished.returncode == 1 and lines[-1] else f"it failed{_said(finished)}"
    raise EngineUnusable(refusal if str(library) in refusal else f"{library}: {refusal}")


def _said(finished: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in finished.stderr.splitlines()]
    told = [line for line in lines if line and not line.startswith(LOADED)]
    return f" ({told[-1]})" if told else ""
