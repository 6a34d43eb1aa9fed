"""Whether llama.cpp's backend for the NPU goes with the installed llama.cpp, and is used.

In:  `npu.library`, its sidecar, `serving`'s words.     Out: `NpuBackend`, findings.
The library is not opened. What its device has executed is what the engine counted and the daemon
tells on its admin socket: the NPU is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.config import Config
from edged.doctor.finding import Finding, error, warning, well
from edged.engine.ggml.sidecar import Sidecar, check_library
from edged.errors import EngineUnusable

NAME = "npu-ggml"


@dataclass(frozen=True, slots=True)
class NpuBackend:
    """What is configured, and what runs.

    Attributes:
        library: None where llama.cpp is to compute on the CPU alone.
        sidecar: what it was built for; None where it cannot be opened, and `problem` says why.
        serving: `engine.npu` of the daemon's state; None: no daemon told one.
        asked: whether a daemon answered, with an engine that is ready.
    """

    library: Path | None
    sidecar: Sidecar | None = None
    problem: str = ""
    serving: Mapping[str, Any] | None = None
    asked: bool = False


def look(config: Config, engine: Mapping[str, Any]) -> NpuBackend:
    """Return what the engine would open, and what the daemon says of the one that runs."""
    library = config.npu.library if config.engine.backend == "llama" else None
    if library is None:
        return NpuBackend(None)
    try:
        sidecar = check_library(library)
    except EngineUnusable as unusable:
        return NpuBackend(library, None, str(unusable))
    return NpuBackend(library, sidecar, "", engine.get("npu"), engine.get("phase") == "ready")


def judge(backend: NpuBackend) -> list[Finding]:
    """Return whether the library can be opened, and what its device has executed."""
    if backend.library is None:
        return [well(NAME, "npu.library is not set: llama.cpp computes on the CPU alone")]
    if backend.sidecar is None:
        says, _, mend = backend.problem.rpartition("; ")
        return [error(NAME, says, mend)]
    built = f"{backend.library}: built from {backend.sidecar.source}"
    says = f"{built} for the installed llama-cpp-python {backend.sidecar.binding}"
    return [well(NAME, says), *_used(backend)]


def _used(backend: NpuBackend) -> list[Finding]:
    serving = backend.serving
    if not backend.asked:
        return []
    if serving is None:
        says = "the engine that runs was started without the NPU: the CPU computes all"
        return [warning(NAME, says, "restart the engine: sudo systemctl restart edged-engine")]
    says = (
        f"{serving['device']} has executed {serving['matmuls']} products of matrices since the "
        f"load; it takes some {serving['weights_share']:.0%} of the weights"
    )
    return [well(NAME, says)]
