"""What others have published of models on these SoCs; nothing here was measured by edged.

In:  SoC, what computes, quantisation, size.     Out: `Expected`, scaled from the nearest row.
Decode waits for the memory: tokens per second go with one over the bytes of the weights, so a row
of the same quantisation is scaled by size. Source of each table stands above it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Way = Literal["cpu", "npu", "rkllm"]
# What computed, as a sentence names it.
WORDS: dict[Way, str] = {
    "cpu": "by llama.cpp on four Cortex-A76",
    "npu": "by llama.cpp on the NPU",
    "rkllm": "by RKLLM",
}
# A row of a size further away says too little.
FACTOR_MAX = 4.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One published row.

    Attributes:
        quantisation: of the file; under `npu` it stands for what the NPU multiplies: F16 for 16
            bits, Q8_0 for 8, Q4_0 for 4.
        size: billions of weights for `cpu` and `npu`, megabytes of memory for `rkllm`.
        decode_tok_s: of one sequence.
        first_token_s: after a prompt of 128 tokens; None where it was not told.
        over_idle_w: watts above idle while it ran; None where nobody told.
    """

    soc: str
    way: Way
    model: str
    quantisation: str
    size: float
    decode_tok_s: float
    first_token_s: float | None = None
    over_idle_w: float | None = None


def _gguf(way: Way, *rows: tuple[str, float, str, float, float]) -> tuple[Figure, ...]:
    return tuple(
        Figure("rk3588", way, model, kind, size, decode_tok_s, over_idle_w=over_idle_w)
        for model, size, kind, decode_tok_s, over_idle_w in rows
    )


# Source: rk-llama.cpp, ggml/src/ggml-rknpu2/README.md: dense models, tg128, watts above idle; CPU
# is four Cortex-A76, the NPU has the same four beside it.
CPU = _gguf(
    "cpu",
    ("Granite 4 350M", 0.35, "F16", 25.8, 6.4), ("Granite 4 350M", 0.35, "Q8_0", 40.6, 6.4),
    ("Granite 4 350M", 0.35, "Q4_0", 55.2, 6.2), ("Gemma 3 1B", 1.0, "F16", 11.1, 6.8),
    ("Gemma 3 1B", 1.0, "Q8_0", 19.5, 7.4), ("Gemma 3 1B", 1.0, "Q4_0", 28.3, 7.0),
    ("Ministral 3 3B", 3.0, "Q8_0", 6.1, 7.2), ("Ministral 3 3B", 3.0, "Q4_0", 8.3, 7.8),
    ("Qwen 3.5 9B", 9.0, "Q8_0", 2.5, 7.4),
)  # fmt: skip
NPU = _gguf(
    "npu",
    ("Granite 4 350M", 0.35, "F16", 20.2, 3.2), ("Granite 4 350M", 0.35, "Q8_0", 25.4, 3.6),
    ("Granite 4 350M", 0.35, "Q4_0", 26.7, 4.0), ("Gemma 3 1B", 1.0, "F16", 10.8, 2.8),
    ("Gemma 3 1B", 1.0, "Q8_0", 16.5, 3.0), ("Gemma 3 1B", 1.0, "Q4_0", 16.7, 3.0),
    ("Ministral 3 3B", 3.0, "Q8_0", 6.9, 3.2), ("Ministral 3 3B", 3.0, "Q4_0", 7.2, 3.2),
    ("Qwen 3.5 9B", 9.0, "Q8_0", 3.2, 3.2), ("Qwen 3.5 9B", 9.0, "Q4_0", 4.4, 4.0),
)  # fmt: skip


def _rkllm(soc: str, kind: str, *rows: tuple[str, float, float, float]) -> tuple[Figure, ...]:
    return tuple(
        Figure(soc, "rkllm", model, kind, size, decode_tok_s, first_ms / 1e3)
        for model, first_ms, decode_tok_s, size in rows
    )


# Source: rknn-llm v1.3.0, benchmark.md: 128 tokens in, 64 out, all clocks at their maximum; first
# token in ms, tokens per second, MB. It tells no watts.
RKLLM = (
    *_rkllm(
        "rk3588", "w8a8",
        ("Qwen2 0.5B", 146, 41.6, 670), ("Qwen3 0.6B", 199, 32.9, 791),
        ("TinyLlama 1.1B", 244, 24.4, 1094), ("Qwen2.5 1.5B", 378, 16.7, 1689),
        ("Gemma2 2B", 598, 10.4, 2779), ("Phi3 3.8B", 1017, 7.45, 3758),
        ("Qwen3.5 4B", 2069, 6.2, 4576), ("ChatGLM3 6B", 1353, 4.98, 5986),
    ),
    *_rkllm(
        "rk3576", "w4a16",
        ("Qwen2 0.5B", 342, 32.6, 443), ("Qwen3 0.6B", 469, 24.9, 513),
        ("TinyLlama 1.1B", 544, 19.7, 601), ("Gemma2 2B", 998, 9.1, 1542),
        ("Phi3 3.8B", 1829, 6.6, 1996), ("Qwen3.5 4B", 3976, 5.0, 2420),
        ("ChatGLM3 6B", 2167, 4.6, 3023),
    ),
    *_rkllm(
        "rk3576", "w8a8",
        ("Qwen2 0.5B", 344, 21.7, 678), ("Qwen3 0.6B", 462, 17.2, 796),
    ),
)  # fmt: skip
FIGURES = CPU + NPU + RKLLM


@dataclass(frozen=True, slots=True)
class Expected:
    """What a published row lets one expect.

    Attributes:
        decode_tok_s: scaled by size.
        of: the row.
    """

    decode_tok_s: float
    of: Figure


def expected(
    soc: str, way: Way, quantisation: str, size: float, figures: Iterable[Figure] = FIGURES
) -> Expected | None:
    """Return what the nearest row of the same SoC, way and quantisation says; None without one.

    Args:
        soc: `rk3588` or `rk3576`.
        way: what computes.
        quantisation: as the rows name it.
        size: in the unit of the way's rows.
        figures: the rows.
    """
    wanted = (soc, way, quantisation)
    rows = [one for one in figures if (one.soc, one.way, one.quantisation) == wanted]
    if not rows or size <= 0:
        return None
    nearest = min(rows, key=lambda one: abs(math.log(one.size / size)))
    factor = nearest.size / size
    if not 1 / FACTOR_MAX <= factor <= FACTOR_MAX:
        return None
    return Expected(nearest.decode_tok_s * factor, nearest)
