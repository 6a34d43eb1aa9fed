"""Does the model fit in this machine's memory, and is it of a kind the engine can serve?

In:  a GGUF header, the context asked for.     Out: nothing, or `EngineUnusable` with the numbers.
Asked before loading: a model that does not fit takes the whole board down, not just the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.engine.gguf_file import GgufHeader
from edged.errors import EngineUnusable

MEMINFO = Path("/proc/meminfo")
# What the process itself takes, and what the board keeps: Python, numpy, llama.cpp's graphs.
RESERVE_BYTES = 192 * 2**20
_RECURRENT_KEYS = ("ssm.", "wkv.", "shortconv.", "rwkv")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Forecast bytes of a loaded model."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it, with what the process itself needs."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + RESERVE_BYTES


def forecast(header: GgufHeader, *, n_cells: int, n_batch: int) -> Footprint:
    """Return what a model will take.

    Source: KV cache of llama.cpp: two halves of 16-bit values per cell, layer and KV head; the
    compute buffer holds some rows of activations and one of the mask per token of a batch.
    """
    heads = header.number("attention.head_count") or 1
    heads_kv = header.number("attention.head_count_kv") or heads
    width = header.number("embedding_length")
    head_width = width // heads
    key = header.number("attention.key_length") or head_width
    value = header.number("attention.value_length") or head_width
    layers = header.number("block_count")
    inner = header.number("feed_forward_length") or 4 * width
    return Footprint(
        weights_bytes=header.tensor_bytes,
        kv_bytes=n_cells * layers * heads_kv * (key + value) * 2,
        compute_bytes=n_batch * (8 * width + 4 * inner + n_cells) * 4,
    )


def check_fits(header: GgufHeader, path: Path, *, n_cells: int, n_batch: int) -> None:
    """Check kind and size of a model.

    Raises:
        EngineUnusable: recurrent, or over the memory that is free now.
    """
    if any(_is_recurrent(key, header.architecture) for key in header.keys):
        raise EngineUnusable(
            f"{path}: architecture {header.architecture} keeps a recurrent state that cannot be "
            "shared between prompts; choose a model of attention layers alone"
        )
    need = forecast(header, n_cells=n_cells, n_batch=n_batch)
    free_bytes = available_bytes()
    if free_bytes is not None and need.total_bytes > free_bytes:
        raise EngineUnusable(
            f"{path}: the model needs {_mib(need.total_bytes)} (weights "
            f"{_mib(need.weights_bytes)}, KV cache {_mib(need.kv_bytes)}, buffers "
            f"{_mib(need.compute_bytes)}, the rest for the process); {_mib(free_bytes)} are free; "
            "choose a smaller model, or lower model.context_tokens or model.sequences"
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


def _is_recurrent(key: str, architecture: str) -> bool:
    name = key.removeprefix(architecture + ".")
    return name != key and name.startswith(_RECURRENT_KEYS)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"
