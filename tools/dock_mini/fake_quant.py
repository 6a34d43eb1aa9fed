"""Q4_0 in training: the forward pass sees 4 bits, the gradient passes straight through.

Source: ggml, quantize_row_q4_0_ref: blocks of 32, d = (value of largest magnitude) / -8 as f16,
q = trunc(x / d + 8.5) in 0..15.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .llama import Weights

BLOCK = 32


def quantised(weights: Weights) -> Weights:
    """The weights as the 4-bit file will hold them, gradients reaching the full ones."""
    return {
        name: weight + (q4_0(weight.detach()) - weight.detach()) if is_4_bit(name) else weight
        for name, weight in weights.items()
    }


def is_4_bit(name: str) -> bool:
    """Whether a tensor is stored in Q4_0: the matrices of the layers alone."""
    return name.startswith("blk.") and "norm" not in name


def q4_0(weight: Tensor) -> Tensor:
    """Round to Q4_0 and back, along the last axis."""
    blocks = weight.reshape(-1, BLOCK)
    at = blocks.abs().argmax(dim=1, keepdim=True)
    scale = blocks.gather(1, at) / -8
    inverse = torch.where(scale == 0, 0.0, 1 / scale)
    codes = (blocks * inverse + 8.5).trunc().clamp(0, 15) - 8
    return (codes * scale.half().float()).reshape(weight.shape)
