"""Does the model fit in this machine's memory, and is it of a kind the engine can serve?

In:  a GGUF header, the context asked for.     Out: nothing, or `EngineUnusable` with the numbers.
Asked before loading: a model that does not fit takes the whole board down, not just the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edged.config import KvType
from edged.engine.gguf_file import GgufHeader
from edged.errors import EngineUnusable

MEMINFO = Path("/proc/meminfo")
# What the process itself takes, and what the board keeps: Python, numpy, llama.cpp's graphs.
RESERVE_BYTES = 192 * 2**20
_RECURRENT_KEYS = ("ssm.", "wkv.", "shortconv.", "rwkv")
# Source: ggml-common.h of llama.cpp 0c1e57098, block_q8_0: values per block, bytes per block.
_KV_BLOCKS: dict[KvType, tuple[int, int]] = {"f16": (1, 2), "q8_0": (32, 34)}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Forecast bytes of a loaded model."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    npu_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it, with what the process itself needs."""
        parts = self.weights_bytes + self.kv_bytes + self.compute_bytes + self.npu_bytes
        return parts + RESERVE_BYTES


def forecast(
    header: GgufHeader,
    *,
    n_cells: int,
    n_batch: int,
    n_sequences: int,
    kv_type: KvType = "f16",
    npu_bytes: int = 0,
) -> Footprint:
    """Return what a model will take; `npu_bytes` is the NPU's own copy of weights."""
    values, block_bytes = _KV_BLOCKS[kv_type]
    kv_values = sum(width * heads for width, heads in _kv_heads(header))
    return Footprint(
        weights_bytes=header.tensor_bytes,
        kv_bytes=n_cells * kv_values // values * block_bytes,
        compute_bytes=_compute_bytes(header, n_cells, n_batch, n_sequences),
        npu_bytes=npu_bytes,
    )


def check_fits(
    header: GgufHeader,
    path: Path,
    *,
    n_cells: int,
    n_batch: int,
    n_sequences: int,
    kv_type: KvType = "f16",
    npu_bytes: int = 0,
    meminfo: Path = MEMINFO,
) -> None:
    """Check kind and size of a model.

    Raises:
        EngineUnusable: recurrent, its KV cache cannot be of this type, or it is over the memory
            that is free now.
    """
    if any(_is_recurrent(key, header.architecture) for key in header.keys):
        raise EngineUnusable(
            f"{path}: architecture {header.architecture} keeps a recurrent state that cannot be "
            "shared between prompts; choose a model of attention layers alone"
        )
    _check_kv_type(header, path, kv_type)
    need = forecast(
        header,
        n_cells=n_cells,
        n_batch=n_batch,
        n_sequences=n_sequences,
        kv_type=kv_type,
        npu_bytes=npu_bytes,
    )
    free_bytes = available_bytes(meminfo)
    if free_bytes is not None and need.total_bytes > free_bytes:
        copy = f", the NPU's copy {_mib(npu_bytes)}" if npu_bytes else ""
        smaller = "" if kv_type == "q8_0" else ", or set engine.kv_type = q8_0"
        raise EngineUnusable(
            f"{path}: the model needs {_mib(need.total_bytes)} (weights "
            f"{_mib(need.weights_bytes)}, KV cache {_mib(need.kv_bytes)}, buffers "
            f"{_mib(need.compute_bytes)}{copy}, the rest for the process); {_mib(free_bytes)} are "
            "free; "
            "choose a smaller model, or lower engine.kv_tokens, model.context_tokens or "
            f"model.sequences{smaller}"
        )


def available_bytes(meminfo: Path = MEMINFO) -> int | None:
    """Return the memory that can be had without swapping; None when the kernel does not say.

    Source: proc(5), MemAvailable, kB.
    """
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else None


def _check_kv_type(header: GgufHeader, path: Path, kv_type: KvType) -> None:
    values, _ = _KV_BLOCKS[kv_type]
    unfit = sorted({width for width, _ in _kv_heads(header) if width % values})
    if unfit:
        raise EngineUnusable(
            f"{path}: engine.kv_type = {kv_type} keeps values in blocks of {values}; the heads of "
            f"this model have {unfit[0]}; set engine.kv_type = f16"
        )


def _kv_heads(header: GgufHeader) -> Iterator[tuple[int, int]]:
    """Yield width and number of the heads that one cell holds: K, then V, of layer after layer.

    Layers that only predict further tokens, or look at the KV of earlier ones, hold none. The cache
    of layers with a sliding window has as many cells as that of the others (`swa_full`).
    Source: llama_kv_cache and llama_hparams of llama.cpp 0c1e57098.
    """
    layers = header.number("block_count")
    heads = header.number("attention.head_count") or 1
    width = header.number("embedding_length") // heads
    heads_kv = header.numbers("attention.head_count_kv", layers)
    if f"{header.architecture}.attention.head_count_kv" not in header.keys:
        heads_kv = header.numbers("attention.head_count", layers)
    without = header.number("nextn_predict_layers") + header.number("attention.shared_kv_layers")
    # Multi-head latent attention keeps one row for both.
    parts = ("key",) if header.number("attention.key_length_mla") else ("key", "value")
    for layer, is_windowed in enumerate(_windowed(header, layers)[: layers - without]):
        for part in parts:
            full = header.number(f"attention.{part}_length") or width
            own = header.number(f"attention.{part}_length_swa") if is_windowed else 0
            yield own or full, heads_kv[layer]


def _windowed(header: GgufHeader, layers: int) -> list[bool]:
    """Return which layers have a sliding window: by a list, or all but every n-th."""
    name = "attention.sliding_window_pattern"
    pattern = header.keys.get(f"{header.architecture}.{name}")
    if isinstance(pattern, list):
        return [bool(one) for one in header.numbers(name, layers)]
    every = header.number(name)
    return [bool(every) and layer % every < every - 1 for layer in range(layers)]


def _compute_bytes(header: GgufHeader, n_cells: int, n_batch: int, n_sequences: int) -> int:
    """Return the buffers of one decode: masks, the widest activations or the logits, the outputs.

    Source: measured as `CPU compute buffer size` of llama.cpp 0c1e57098, with flash attention, for
    llama, qwen2, qwen3, gemma2, gemma3, gemma4 of 2 to 6 layers: 4 % below to 23 % above it.
    """
    width, inner = header.number("embedding_length"), header.number("feed_forward_length")
    experts = header.number("expert_used_count")
    expert_floats = experts * (width + header.number("expert_feed_forward_length"))
    activation_floats = n_batch * (3 * width + 4 * (inner or 4 * width) + expert_floats)
    tokens = header.keys.get("tokenizer.ggml.tokens")
    logit_floats = n_sequences * (len(tokens) if isinstance(tokens, list) else 0)
    caches = 2 if header.number("attention.sliding_window") else 1
    mask_bytes = int(n_batch * n_cells * (2 * caches + 0.4))
    return mask_bytes + 4 * (max(activation_floats, logit_floats) + logit_floats)


def _is_recurrent(key: str, architecture: str) -> bool:
    name = key.removeprefix(architecture + ".")
    return name != key and name.startswith(_RECURRENT_KEYS)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"
