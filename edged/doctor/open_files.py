"""How many files the engine may open: each buffer of the NPU is one.

In:  /proc/PID/limits of the engine, or this process's own limit.     Out: `OpenFiles`, a finding.
"""

from __future__ import annotations

import re
import resource
from dataclasses import dataclass

from edged.doctor.finding import Finding, warning, well
from edged.doctor.root import Root, text

# Source: rk-llama.cpp, ggml/src/ggml-rknpu2/README.md, and rknn-llm issue 62: below that the load
# ends in the middle.
NEEDED = 65_536


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """The limit in force, or as far as an engine would raise its own, and whose it is."""

    count: int
    whose: str


def look(root: Root, engine: int | None) -> OpenFiles:
    """Return the limit of the engine that runs, else how far one of this shell's may raise its own.

    Source: proc(5): `Max open files   1024   524288   files`: soft, hard.
    """
    limits = "" if engine is None else text(root.at(f"/proc/{engine}/limits"))
    found = re.search(r"(?m)^Max open files +(\d+)", limits)
    if found is not None:
        return OpenFiles(int(found[1]), "the engine that runs")
    return OpenFiles(resource.getrlimit(resource.RLIMIT_NOFILE)[1], "an engine of this shell")


def judge(limit: OpenFiles, *, needs_npu: bool) -> Finding:
    """Return whether the limit is enough."""
    says = f"{limit.whose} may open {limit.count} files"
    if limit.count >= NEEDED or limit.count == resource.RLIM_INFINITY or not needs_npu:
        return well("open-files", says)
    mend = (
        f"ulimit -n {NEEDED} before `edged run`; under systemd LimitNOFILE={NEEDED}, as "
        "systemd/edged-engine.service has it"
    )
    return warning("open-files", f"{says}; the NPU's buffers can need {NEEDED}", mend)
