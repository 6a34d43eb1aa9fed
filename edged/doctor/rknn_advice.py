"""What a board would make of a .rknn file: a classifier in the place of an LLM.

In:  the file's name and size, the configuration, free memory, the SoC.     Out: `Looked`, findings.
What the file itself says is told by rknn-toolkit-lite2 at the load (`edged.engine.rknn.evidence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.config import Config
from edged.doctor.finding import Finding, error, well
from edged.doctor.rkllm_name import NameSays, read_name
from edged.engine.rkllm.model_check import check_rkllm_fits
from edged.engine.rknn.classifier import recipe_of
from edged.errors import EngineUnusable


@dataclass(frozen=True, slots=True)
class Looked:
    """A .rknn file in this machine's memory.

    Attributes:
        misfit: why it does not fit; None where it does.
        lack: what the configuration lacks for a classifier; None where it lacks nothing.
        labels: how many the configuration names.
    """

    says: NameSays
    size_bytes: int
    misfit: str | None
    lack: str | None
    labels: int


def look(file: Path, config: Config, meminfo: Path) -> Looked:
    """Return name and size, whether memory holds it, and what is configured beside it."""
    misfit = lack = None
    try:
        check_rkllm_fits(file, meminfo)
    except EngineUnusable as unusable:
        misfit = str(unusable)
    own = config.model.model_copy(update={"path": file})
    try:
        recipe_of(config.model_copy(update={"model": own}))
    except EngineUnusable as unusable:
        lack = str(unusable)
    return Looked(read_name(file), file.stat().st_size, misfit, lack, len(config.rknn.labels))


def judge(looked: Looked, soc: str | None) -> list[Finding]:
    """Return what is to be said of the file on this SoC; None is any other machine."""
    fits = f"{looked.size_bytes / 2**20:.1f} MiB of model fit the free memory"
    labels = f"{looked.labels} labels and their vocabulary are configured"
    return [
        _of("fit", looked.misfit, fits),
        _of("classifier", looked.lack, labels),
        _npu(looked.says, soc),
        well("speed", "nothing is published for a classifier of this kind"),
    ]


def _of(name: str, problem: str | None, otherwise: str) -> Finding:
    if problem is None:
        return well(name, otherwise)
    says, _, mend = problem.rpartition("; ")
    return error(name, says, mend)


def _npu(says: NameSays, soc: str | None) -> Finding:
    if soc is None:
        none = "this machine has no NPU that runs .rknn files"
        return error("npu", none, 'use a GGUF file, and engine.backend = "llama"')
    if says.soc is not None and says.soc != soc:
        told = f"its name says {says.soc.upper()}, and this board has the {soc.upper()}"
        mend = f"convert the original model again by rknn-toolkit2, with target_platform = {soc}"
        return error("npu", told, mend)
    return well("npu", "it runs on the NPU whole, in the place of an LLM; schemas of one enum only")
