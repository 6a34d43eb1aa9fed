"""A checkpoint and its tokeniser as one GGUF file, in bf16 or in 4 bits.

4 bits: the layers' matrices Q4_0, embedding and output head Q8_0, norms f32.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from numpy.typing import NDArray

from .dataset import BOS, EOS, SPECIAL_TOKENS
from .fake_quant import is_4_bit
from .llama import Shape
from .training import Run

Kind = Literal["bf16", "q4_0"]
KINDS: tuple[Kind, ...] = ("bf16", "q4_0")
_FILE_TYPES = {
    "bf16": gguf.LlamaFileType.MOSTLY_BF16,
    "q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}


def write(run: Run, tokenizer: Path, path: Path, kind: Kind) -> None:
    """Write `path`; the tokeniser is the JSON file of the training."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("dock-mini")
    writer.add_license("Apache-2.0")
    writer.add_file_type(_FILE_TYPES[kind])
    _add_shape(writer, run.shape)
    _add_tokens(writer, json.loads(tokenizer.read_text(encoding="utf-8")))
    for name, weight in run.weights.items():
        _add_tensor(writer, name, weight.detach().float().numpy(), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensor_type(name: str, kind: Kind) -> gguf.GGMLQuantizationType:
    """How one tensor is stored."""
    if "norm" in name:
        return gguf.GGMLQuantizationType.F32
    if kind == "bf16":
        return gguf.GGMLQuantizationType.BF16
    return gguf.GGMLQuantizationType.Q4_0 if is_4_bit(name) else gguf.GGMLQuantizationType.Q8_0


def _add_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn_width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocab_tokens)


def _add_tokens(writer: gguf.GGUFWriter, tokenizer: dict[str, Any]) -> None:
    ids: dict[str, int] = tokenizer["model"]["vocab"]
    tokens = sorted(ids, key=lambda token: ids[token])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([control if token in SPECIAL_TOKENS else normal for token in tokens])
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    )
    writer.add_bos_token_id(ids[BOS])
    writer.add_eos_token_id(ids[EOS])
    writer.add_add_bos_token(True)


def _add_tensor(
    writer: gguf.GGUFWriter, name: str, weight: NDArray[np.float32], kind: Kind
) -> None:
    stored = tensor_type(name, kind)
    writer.add_tensor(name, gguf.quants.quantize(weight, stored), raw_dtype=stored)
