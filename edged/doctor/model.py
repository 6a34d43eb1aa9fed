"""Whether the configured model is there, whole, and fits the memory.

In:  the configuration, /proc/meminfo.     Out: `Resident`, a finding. Asks what the engine asks
before a load, with the same functions; nothing is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.config import Config
from edged.doctor.finding import Finding, error, well
from edged.doctor.root import Root
from edged.engine.loadable import loadable
from edged.engine.memory import available_bytes
from edged.errors import ConfigError, EngineUnusable

MEMINFO = "/proc/meminfo"
# Of a machine that does not tell its memory: what an engine holds already is not asked for again.
UNTOLD = Path("/nonexistent/meminfo")


@dataclass(frozen=True, slots=True)
class Resident:
    """The model that the engine would load.

    Attributes:
        name, file_bytes: None of both for the simulated engine.
        free_bytes: memory to be had; None where the kernel does not tell.
        problem: why it cannot be loaded.
        engine: the process that runs already.
    """

    name: str | None
    file_bytes: int | None
    free_bytes: int | None
    problem: str | None
    engine: int | None


def look(root: Root, settings: Config, engine: int | None) -> Resident:
    """Return what the engine would find."""
    meminfo = root.at(MEMINFO) if engine is None else UNTOLD
    free_bytes = available_bytes(meminfo)
    if settings.engine.backend == "sim":
        return Resident(None, None, free_bytes, None, engine)
    try:
        model = loadable(settings, meminfo)
    except (EngineUnusable, ConfigError) as unusable:
        return Resident(None, None, free_bytes, str(unusable), engine)
    return Resident(model.name, model.path.stat().st_size, free_bytes, None, engine)


def judge(resident: Resident) -> Finding:
    """Return whether it would be loaded."""
    if resident.problem is not None:
        says, _, advice = resident.problem.rpartition("; ")
        mend = advice if says else "give model.path a model file, then run `edged check FILE`"
        return error("model", says or advice, mend)
    if resident.name is None or resident.file_bytes is None:
        return well("model", "the simulated engine needs none")
    says = f"{resident.name}, {resident.file_bytes / 2**20:.0f} MiB"
    if resident.engine is not None:
        return well("model", f"{says}: process {resident.engine} has it, or is loading it")
    if resident.free_bytes is None:
        return well("model", f"{says}; how much memory is free is not known")
    return well("model", f"{says}, fits into {resident.free_bytes / 2**20:.0f} MiB of free memory")
