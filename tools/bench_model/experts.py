"""A mixture of experts in the shape of Gemma 4 26B-A4B, full size, written as it is made.

In:  a vocabulary.     Out: a GGUF of 14 GB.
Its matrices repeat one run of random 4-bit values: what they cost is that of any others, what they
say is nothing. No more than one of them is in memory.
Source: the published configuration; src/models/gemma4.cpp of llama.cpp 0c1e57098 for keys and
tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from numpy.typing import NDArray

from tools.bench_model import vocabulary
from tools.bench_model.vocabulary import Vocabulary

Q4_0 = gguf.GGMLQuantizationType.Q4_0
# Blocks of 32 values; a prime, so that no two rows are alike.
PATTERN_BLOCKS = 65_537


@dataclass(frozen=True, slots=True)
class Experts:
    """The numbers of the model.

    Attributes:
        layers, full_every: every so manyth layer sees all, the others a window.
        head_widths, kv_heads: of a layer with a window, and of one without.
        inner: of the part that each token goes through; `expert_inner` of one expert.
    """

    layers: int = 30
    full_every: int = 6
    width: int = 2816
    heads: int = 16
    head_widths: tuple[int, int] = (256, 512)
    kv_heads: tuple[int, int] = (8, 2)
    inner: int = 2112
    experts: int = 128
    experts_used: int = 8
    expert_inner: int = 704
    window_tokens: int = 1024
    context_tokens: int = 262_144
    vocab_tokens: int = 262_144


GEMMA_4_26B_A4B = Experts()


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the file: a matrix in 4 bits, or plain ones, or plain random values."""

    name: str
    size: tuple[int, ...]
    fill: Literal["4 bits", "ones", "random"] = "4 bits"


def write(out: Path, model: Experts, source: Vocabulary) -> None:
    """Write the model; the same arguments give the same file."""
    writer = gguf.GGUFWriter(out, "gemma4")
    writer.add_name(out.stem)
    _add_keys(writer, model)
    vocabulary.add_to(writer, vocabulary.filled(source, model.vocab_tokens))
    every = list(tensors(model))
    for tensor in every:
        _add_info(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    pattern = _pattern()
    for tensor in every:
        writer.write_tensor_data(_values(tensor, pattern))
    writer.close()


def _add_keys(writer: gguf.GGUFWriter, model: Experts) -> None:
    is_windowed = [_is_windowed(model, layer) for layer in range(model.layers)]
    narrow, wide = model.head_widths
    counts: dict[str, int] = {
        "context_length": model.context_tokens,
        "embedding_length": model.width,
        "block_count": model.layers,
        "vocab_size": model.vocab_tokens,
        "feed_forward_length": model.inner,
        "attention.head_count": model.heads,
        "attention.key_length": wide,
        "attention.value_length": wide,
        "attention.key_length_swa": narrow,
        "attention.value_length_swa": narrow,
        "rope.dimension_count": wide,
        "rope.dimension_count_swa": narrow,
        "attention.sliding_window": model.window_tokens,
        "attention.shared_kv_layers": 0,
        "embedding_length_per_layer_input": 0,
        "expert_count": model.experts,
        "expert_used_count": model.experts_used,
        "expert_feed_forward_length": model.expert_inner,
    }
    for name, count in counts.items():
        writer.add_uint32(f"gemma4.{name}", count)
    for name, number in (
        ("attention.layer_norm_rms_epsilon", 1e-6),
        ("rope.freq_base", 1e6),
        ("rope.freq_base_swa", 1e4),
        ("final_logit_softcapping", 30.0),
    ):
        writer.add_float32(f"gemma4.{name}", number)
    kv_heads = [model.kv_heads[not windowed] for windowed in is_windowed]
    writer.add_array("gemma4.attention.head_count_kv", kv_heads)
    writer.add_array("gemma4.attention.sliding_window_pattern", is_windowed)


def _is_windowed(model: Experts, layer: int) -> bool:
    return (layer + 1) % model.full_every != 0


def tensors(model: Experts) -> Iterator[Tensor]:
    """Yield what stands in the file, in its order."""
    yield Tensor("token_embd.weight", (model.vocab_tokens, model.width))
    yield Tensor("output_norm.weight", (model.width,), "ones")
    yield Tensor("rope_freqs.weight", (model.head_widths[1] // 2,), "ones")
    for layer in range(model.layers):
        yield from _attention(model, layer)
        yield from _experts(model, f"blk.{layer}")


def _attention(model: Experts, layer: int) -> Iterator[Tensor]:
    block, is_full = f"blk.{layer}", not _is_windowed(model, layer)
    head_width, kv = model.head_widths[is_full], model.kv_heads[is_full]
    inside = model.heads * head_width
    yield Tensor(f"{block}.attn_q.weight", (inside, model.width))
    yield Tensor(f"{block}.attn_k.weight", (kv * head_width, model.width))
    if not is_full:  # a layer without a window has no values but its keys
        yield Tensor(f"{block}.attn_v.weight", (kv * head_width, model.width))
    yield Tensor(f"{block}.attn_output.weight", (model.width, inside))
    for name in ("attn_q_norm", "attn_k_norm"):
        yield Tensor(f"{block}.{name}.weight", (head_width,), "ones")
    for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
        yield Tensor(f"{block}.{name}.weight", (model.width,), "ones")


def _experts(model: Experts, block: str) -> Iterator[Tensor]:
    """Yield the part that each token goes through, and the experts beside it."""
    for name in ("ffn_gate", "ffn_up"):
        yield Tensor(f"{block}.{name}.weight", (model.inner, model.width))
    yield Tensor(f"{block}.ffn_down.weight", (model.width, model.inner))
    # Random, so that tokens go to different experts.
    yield Tensor(f"{block}.ffn_gate_inp.weight", (model.experts, model.width), "random")
    yield Tensor(f"{block}.ffn_gate_inp.scale", (model.width,), "ones")
    for name in ("post_ffw_norm_1", "pre_ffw_norm_2", "post_ffw_norm_2"):
        yield Tensor(f"{block}.{name}.weight", (model.width,), "ones")
    both = 2 * model.expert_inner
    yield Tensor(f"{block}.ffn_gate_up_exps.weight", (model.experts, both, model.width))
    yield Tensor(f"{block}.ffn_down_exps.weight", (model.experts, model.width, model.expert_inner))
    yield Tensor(f"{block}.ffn_down_exps.scale", (model.experts,), "ones")
    yield Tensor(f"{block}.layer_output_scale.weight", (1,), "ones")


def _add_info(writer: gguf.GGUFWriter, tensor: Tensor) -> None:
    if tensor.fill == "4 bits":
        size = gguf.quant_shape_to_byte_shape(tensor.size, Q4_0)
        bytes_ = int(np.prod(size))
        writer.add_tensor_info(tensor.name, size, np.dtype(np.uint8), bytes_, raw_dtype=Q4_0)
    else:
        bytes_ = 4 * int(np.prod(tensor.size))
        writer.add_tensor_info(tensor.name, tensor.size, np.dtype(np.float32), bytes_)


def _pattern() -> NDArray[np.uint8]:
    """Return the run of quantised blocks that all matrices are made of."""
    values = np.random.default_rng(1).standard_normal((PATTERN_BLOCKS, 32), dtype=np.float32)
    packed: NDArray[np.uint8] = gguf.quants.quantize(values * np.float32(0.02), Q4_0).reshape(-1)
    return packed


def _values(tensor: Tensor, pattern: NDArray[np.uint8]) -> NDArray[Any]:
    if tensor.fill == "ones":
        return np.ones(tensor.size, dtype=np.float32)
    if tensor.fill == "random":
        chance = np.random.default_rng(2)
        return chance.standard_normal(tensor.size, dtype=np.float32) * np.float32(0.05)
    size = gguf.quant_shape_to_byte_shape(tensor.size, Q4_0)
    return np.resize(pattern, size)
