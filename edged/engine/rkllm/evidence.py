"""What the runtime says of itself, its driver and the model file, and whether they go together.

In:  lines that the runtime prints.     Out: `Evidence`, or a refusal.
The runtime has no call that tells its version, and structs of another version corrupt memory. So
a child process asks it first, with a model that does not exist: the version is printed before the
file is looked for, and a library that crashes there crashes nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edged.engine.child import asked
from edged.engine.rkllm.library import GET_IT
from edged.errors import EngineUnusable

# The versions whose header `structs` was written from.
KNOWN_RUNTIMES = ("1.3.0",)
# Source: the runtime's warning: "Your rknpu driver version is too low, please upgrade to 0.9.7".
DRIVER_MIN = (0, 9, 7)
PROBE = "edged.engine.rkllm.probe"

# Source: published logs of runtimes 1.2.1 and 1.3.0, for example
#   I rkllm: rkllm-runtime version: 1.3.0, rknpu driver version: 0.9.8, platform: RK3588
#   I rkllm: rkllm-toolkit version: 1.3.0, max_context_limit: 4096, npu_core_num: 3,
#            target_platform: RK3588, model_dtype: W8A8                       (one line)
_WORDS = {
    "runtime": r"rkllm-runtime version:\s*([\w.]+)",
    "driver": r"rknpu driver version:\s*([\w.]+)",
    "platform": r"(?<!target_)platform:\s*(\w+)",
    "toolkit": r"rkllm-toolkit version:\s*([\w.]+)",
    "context_limit": r"max_context_limit:\s*(\d+)",
    "target": r"target_platform:\s*(\w+)",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was said; None for what was not.

    Attributes:
        runtime, driver: versions of library and kernel driver.
        platform: the SoC it runs on, such as RK3588.
        toolkit, target, context_limit: of the model file: the version and the SoC it was
            converted with and for, and the most tokens it can hold.
    """

    runtime: str | None = None
    driver: str | None = None
    platform: str | None = None
    toolkit: str | None = None
    context_limit: str | None = None
    target: str | None = None


def read(log: str) -> Evidence:
    """Return what the lines of the runtime say."""
    found = {name: re.search(words, log) for name, words in _WORDS.items()}
    return Evidence(**{name: match[1] for name, match in found.items() if match})


def probe(library: str) -> str:
    """Return what the library prints when it is opened, in a child process, without a model.

    Raises:
        EngineUnusable: it did not come back.
    """
    told = asked(PROBE, library, who=f"{library}: the runtime, asked for its version,")
    return "\n".join(told.printed + told.complained)


def check_library(evidence: Evidence, library: str) -> None:
    """Refuse a library or a driver that the structs or the NPU do not go with.

    Raises:
        EngineUnusable: unknown version, or a driver that is too old.
    """
    if evidence.runtime is None:
        raise EngineUnusable(
            f"{library}: the library does not say which version it is, and another version than "
            f"{KNOWN_RUNTIMES[0]} would corrupt memory; {GET_IT}"
        )
    if evidence.runtime not in KNOWN_RUNTIMES:
        raise EngineUnusable(
            f"{library}: this is RKLLM {evidence.runtime}; edged knows the structs of "
            f"{', '.join(KNOWN_RUNTIMES)} only, others would corrupt memory; {GET_IT}"
        )
    if evidence.driver is not None and _version(evidence.driver) < DRIVER_MIN:
        raise EngineUnusable(
            f"the NPU's kernel driver is rknpu {evidence.driver}, and RKLLM needs "
            f"{'.'.join(map(str, DRIVER_MIN))}; install a newer kernel of the board's vendor"
        )


def check_model(evidence: Evidence, model: str, context_tokens: int) -> None:
    """Refuse a model file that does not go with the board or the configuration.

    Raises:
        EngineUnusable: made for another SoC, or for a shorter context.
    """
    target, platform = evidence.target, evidence.platform
    if target and platform and target.upper() != platform.upper():
        raise EngineUnusable(
            f"{model}: it was converted for the {target.upper()}, and this board has the "
            f"{platform.upper()}; convert it again with target_platform = {platform.upper()}"
        )
    limit = evidence.context_limit
    if limit is not None and context_tokens > int(limit):
        raise EngineUnusable(
            f"{model}: it was converted for at most {limit} tokens, and model.context_tokens = "
            f"{context_tokens}; lower that, or convert the model with a larger max_context"
        )


def is_of_another_toolkit(evidence: Evidence) -> bool:
    """Return whether the model was converted by another minor version than the runtime's.

    Source: rknn-llm issue 534: a model of toolkit 1.2.2 in runtime 1.3.0 never ends its answers.
    """
    if evidence.toolkit is None or evidence.runtime is None:
        return False
    return _version(evidence.toolkit)[:2] != _version(evidence.runtime)[:2]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
