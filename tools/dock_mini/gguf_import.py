"""A GGUF written by `export` as a checkpoint and a tokeniser again, to train it further.

4-bit weights are taken as they are: what the file knew is where the training starts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import torch

from . import vocabulary
from .llama import Shape, Weights, fresh_weights
from .optimiser import Optimiser
from .training import Run


def read(path: Path, add_layers_behind: Sequence[int] = ()) -> tuple[Run, Any]:
    """A run before its first step, and the tokeniser, of one file.

    Behind each layer numbered in `add_layers_behind` a fresh one is put in; it changes nothing
    until it is trained.
    """
    reader = gguf.GGUFReader(path)
    weights = {tensor.name: _weight(tensor) for tensor in reader.tensors}
    shape, weights = deepened(_shape(reader), weights, add_layers_behind)
    for weight in weights.values():
        weight.requires_grad_()
    merges = [tuple(merge.split(" ")) for merge in _contents(reader, "tokenizer.ggml.merges")]
    tokens = {token: at for at, token in enumerate(_contents(reader, "tokenizer.ggml.tokens"))}
    return Run(shape, weights, Optimiser(weights)), vocabulary.assemble(tokens, merges)


def deepened(
    shape: Shape, weights: Weights, add_layers_behind: Sequence[int]
) -> tuple[Shape, Weights]:
    """The same function with more layers: the new ones write nothing into the residual stream."""
    order: list[int | None] = []
    for old_layer in range(shape.layers):
        order += [old_layer, None] if old_layer in add_layers_behind else [old_layer]
    deeper = dataclasses.replace(shape, layers=len(order))
    grown = fresh_weights(deeper, seed=len(order))
    grown |= {name: weight for name, weight in weights.items() if not name.startswith("blk.")}
    for at, layer in enumerate(order):
        if layer is None:
            for name in ("attn_output", "ffn_down"):
                grown[f"blk.{at}.{name}.weight"].zero_()
            continue
        old = f"blk.{layer}."
        grown |= {
            f"blk.{at}." + name.removeprefix(old): weight
            for name, weight in weights.items()
            if name.startswith(old)
        }
    return deeper, grown


def _weight(tensor: Any) -> torch.Tensor:
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return torch.tensor(values, dtype=torch.float32)


def _shape(reader: gguf.GGUFReader) -> Shape:
    def number(key: str) -> Any:
        return _contents(reader, f"llama.{key}")

    return Shape(
        vocab_tokens=number("vocab_size"),
        width=number("embedding_length"),
        layers=number("block_count"),
        heads=number("attention.head_count"),
        ffn_width=number("feed_forward_length"),
        context_tokens=number("context_length"),
        rope_base=number("rope.freq_base"),
        norm_eps=number("attention.layer_norm_rms_epsilon"),
    )


def _contents(reader: gguf.GGUFReader, key: str) -> Any:
    return reader.fields[key].contents()
