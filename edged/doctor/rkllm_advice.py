"""What a board would make of a .rkllm file.

In:  the file's name and size, the configuration, free memory, the SoC.     Out: `Looked`, findings.
What the runtime itself says at the load is judged by `edged.engine.rkllm.evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.config import Config
from edged.doctor.finding import Finding, error, warning, well
from edged.doctor.gguf_advice import told, told_watts
from edged.doctor.published import expected
from edged.doctor.rkllm_name import NameSays, read_name
from edged.engine.rkllm.evidence import KNOWN_RUNTIMES, Evidence, is_of_another_toolkit
from edged.engine.rkllm.model_check import CONTEXT_TOKENS_MAX, check_rkllm_fits
from edged.errors import EngineUnusable

# Source: rknn-llm v1.3.0, README and issue 532: 4-bit weights with 16-bit activations need the NPU
# of an RK3576; that of an RK3588 multiplies numbers of the same kind only.
BEST = {"rk3588": "w8a8", "rk3576": "w4a16"}
IMPOSSIBLE = {("rk3588", "w4a16")}
CONVERT = "convert the original model again by rkllm-toolkit 1.3"


@dataclass(frozen=True, slots=True)
class Looked:
    """A .rkllm file in this machine's memory; `problem` is why it does not fit."""

    says: NameSays
    size_bytes: int
    problem: str | None
    context_tokens: int


def look(file: Path, config: Config, meminfo: Path) -> Looked:
    """Return name and size, and whether memory holds it."""
    problem = None
    try:
        check_rkllm_fits(file, meminfo)
    except EngineUnusable as unusable:
        problem = str(unusable)
    return Looked(read_name(file), file.stat().st_size, problem, config.model.context_tokens)


def judge(looked: Looked, soc: str | None) -> list[Finding]:
    """Return what is to be said of the file on this SoC; None is any other machine."""
    found = [_fit(looked), _context(looked), _toolkit(looked.says)]
    if soc is None:
        says = "this machine has no NPU that RKLLM runs on"
        return [*found, error("npu", says, 'use a GGUF file, and engine.backend = "llama"')]
    misfit = misfit_of(looked.says, soc)
    if misfit is not None:
        return [*found, misfit]
    found.append(well("npu", "RKLLM multiplies on the NPU and takes fast cores for the rest"))
    return found + _speed(looked, soc)


def judge_name(file: Path | None, soc: str | None) -> list[Finding]:
    """Return what a configured file's name has against this board: nothing, or up to two lines."""
    if file is None or soc is None:
        return []
    says = read_name(file)
    found = (misfit_of(says, soc), _toolkit(says))
    return [one for one in found if one is not None and one.level != "ok"]


def _fit(looked: Looked) -> Finding:
    if looked.problem is None:
        return well("fit", f"{looked.size_bytes / 2**20:.0f} MiB of weights fit the free memory")
    says, _, advice = looked.problem.rpartition("; ")
    return error("fit", says, advice)


def _context(looked: Looked) -> Finding:
    has = looked.context_tokens
    if has <= CONTEXT_TOKENS_MAX:
        return well("context", f"{has} tokens are configured, RKLLM holds {CONTEXT_TOKENS_MAX}")
    says = f"model.context_tokens = {has}: RKLLM holds at most {CONTEXT_TOKENS_MAX} tokens"
    return error("context", says, f"set model.context_tokens = {CONTEXT_TOKENS_MAX} or less")


def _toolkit(says: NameSays) -> Finding:
    toolkit, runtime = says.toolkit, KNOWN_RUNTIMES[0]
    if toolkit is None:
        return well("toolkit", "its name does not say which toolkit made it; the runtime will")
    if not is_of_another_toolkit(Evidence(runtime=runtime, toolkit=toolkit)):
        return well("toolkit", f"its name says toolkit {toolkit}, the runtime is {runtime}")
    sentence = (
        f"its name says toolkit {toolkit}, and the runtime is {runtime}: answers may not end "
        "before their cap"
    )
    return warning("toolkit", sentence, CONVERT)


def misfit_of(says: NameSays, soc: str) -> Finding | None:
    """Return why this NPU cannot run it, as far as its name tells."""
    if says.soc is not None and says.soc != soc:
        told_soc = f"its name says {says.soc.upper()}, and this board has the {soc.upper()}"
        target = f"target_platform = {soc.upper()} and quantized_dtype = {BEST[soc]}"
        return error("npu", told_soc, f"{CONVERT}, with {target}")
    if (soc, says.quantisation) in IMPOSSIBLE:
        told_kind = f"its name says {says.quantisation}, which the NPU of an {soc.upper()} has not"
        return error("npu", told_kind, f"{CONVERT}, with quantized_dtype = {BEST[soc]}")
    return None


def _speed(looked: Looked, soc: str) -> list[Finding]:
    kind = looked.says.quantisation
    size_mb = looked.size_bytes / 1e6
    now = None if kind is None else expected(soc, "rkllm", kind, size_mb)
    if now is None:
        says = f"nothing is published that is near enough: {kind or 'unnamed'}, {size_mb:.0f} MB"
        found = [well("speed", says)]
    else:
        found = [well("speed", told(now)), well("watts", told_watts(now))]
    if kind is not None and kind != BEST[soc]:
        says = f"{BEST[soc]} decodes faster on the {soc.upper()} than {kind}, by published figures"
        mend = f"{CONVERT}, with quantized_dtype = {BEST[soc]}; then compare the answers"
        found.append(warning("quantise", says, mend))
    return found
