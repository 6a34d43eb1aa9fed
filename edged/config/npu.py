"""The tables of the configuration that only boards with an NPU have.

In:  values of a TOML file.     Out: frozen tables, as those of `tables`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict, StringConstraints

from edged.config.tables import File, Section

# Source: RKNPU2 backends for ggml read: rk-llama.cpp, unimatrix099, pty819, Mojo24x7, anand34577.
VARIABLES = re.compile(r"(RKNPU|GGML_RKNPU2|ORK)_[A-Z0-9_]+")
# Those that the table has keys of its own for.
OWN = {"RKNPU_DEVICE": "device", "RKNPU_CORES": "cores", "RKNPU_HYBRID": "hybrid"}
# Source: Mojo24x7's backend: these count by being there, so that 0 switches them on.
BY_PRESENCE = ("RKNPU_AS_GPU", "RKNPU_GLUE", "RKNPU_PERCHAN")


def _variables(values: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in values.items():
        if VARIABLES.fullmatch(name) is None:
            raise ValueError(f"{name}: names begin with RKNPU_, GGML_RKNPU2_ or ORK_")
        if name in OWN:
            raise ValueError(f"{name}: set npu.{OWN[name]} instead")
        if name in BY_PRESENCE and value != "1":
            raise ValueError(
                f"{name} = {value!r} would switch it on: it counts by being there; leave it out, "
                'or write "1"'
            )
    return values


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("a power of two")
    return value


Variables = Annotated[dict[str, str], AfterValidator(_variables)]
PowerOfTwo = Annotated[int, AfterValidator(_power_of_two)]
Cores = Annotated[str, StringConstraints(pattern=r"^[0-2](,[0-2])*$")]


CoreMask = Literal["auto", "0", "1", "2", "0_1", "0_1_2"]
Labels = Annotated[tuple[str, ...], Strict(False)]


class Npu(Section):
    """The NPU through llama.cpp; read where engine.backend is llama and a library is named."""

    library: File | None = Field(
        None,
        description="ggml backend library made by tools/build-npu-backend; unset: the CPU computes",
    )
    device: Literal["RK3588", "RK3576"] | None = Field(
        None, description="RKNPU_DEVICE; unset: this board's SoC"
    )
    cores: Cores | None = Field(
        None, description='RKNPU_CORES, such as "0,2"; unset: as the backend has it'
    )
    hybrid: str = Field(
        "auto",
        min_length=1,
        description="RKNPU_HYBRID; auto: W8A8_STANDARD for models of 4 or 6 bits; none: as the "
        "backend has it",
    )
    batch_tokens: PowerOfTwo = Field(
        512, ge=32, le=4096, description="tokens of one batch; the NPU is warmed for 1, 2, 4 ..."
    )
    environment: Variables | None = Field(
        None,
        description="further variables of the backend; those counted by being there: left out or 1",
    )


class Rkllm(Section):
    """The NPU through Rockchip's RKLLM runtime; read where engine.backend is rkllm."""

    library: File | None = Field(
        None, description="librkllmrt.so, version 1.3.0; unset: where the system's loader finds it"
    )
    lock: File | None = Field(
        None,
        description="lock of the board's NPU, whatever uses it; unset: /run/lock/edged-npu.lock",
    )
    iommu_domain: int = Field(0, ge=0, le=15, description="of the NPU's memory; 1 if 0 is full")
    token_bytes: int = Field(
        1, ge=1, le=8, description="bytes of a prompt counted as one token; 1 never counts too few"
    )
    prompt_caches: bool = Field(
        True, description="whether to keep the templates' constant parts as files in state_dir"
    )
    load_s_max: float = Field(300, ge=120, le=3600, description="longest load of the model")
    prefill_s_max: float = Field(120, ge=1, le=3600, description="longest wait for a first token")
    token_s_max: float = Field(20, ge=0.1, le=600, description="longest wait for the next token")
    abort_s_max: float = Field(5, ge=0.1, le=600, description="longest wait for an aborted run")


class Rknn(Section):
    """A classifier through rknn-toolkit-lite2, no LLM; read where engine.backend is rknn."""

    tokenizer: File | None = Field(
        None, description="the classifier's WordPiece vocabulary, vocab.txt"
    )
    labels: Labels = Field((), description="what its outputs mean, in their order")
    input_tokens: int = Field(128, ge=8, le=512, description="length of its inputs")
    mask: bool = Field(True, description="whether its second input is the attention mask")
    lowercase: bool = Field(True, description="whether case and accents are taken away")
    core_mask: CoreMask = Field("auto", description="the NPU's cores; an RK3576 has 0 and 1")
    answer_s_max: float = Field(10, ge=0.1, le=600, description="longest wait for an answer")
