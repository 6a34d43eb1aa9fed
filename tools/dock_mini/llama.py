"""A small llama as pure functions over a dictionary of weights, named as in GGUF.

RMSNorm, rotary positions on neighbouring pairs (GGUF's order for the llama architecture, so no
permutation at export), SwiGLU, an output head of its own.
Shapes: B sequences, T tokens, D wide, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model.

    Attributes:
        width: D; a multiple of 256 keeps K-quants possible.
        context_tokens: longest sequence the positions are meant for.
    """

    vocab_tokens: int = 4096
    width: int = 256
    layers: int = 4
    heads: int = 8
    ffn_width: int = 512
    context_tokens: int = 1024
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5


def fresh_weights(shape: Shape, seed: int) -> Weights:
    """Random weights; those that write into the residual stream start small."""
    generator = torch.Generator().manual_seed(seed)
    width, ffn = shape.width, shape.ffn_width

    def normal(rows: int, columns: int, std: float) -> Tensor:
        return torch.randn(rows, columns, generator=generator) * std

    # A token's own vector must not drown in what the first layers add to it.
    weights = {
        "token_embd.weight": normal(shape.vocab_tokens, width, 0.3),
        "output.weight": normal(shape.vocab_tokens, width, 0.005),
    }
    out_std = 0.02 / (2 * shape.layers) ** 0.5
    for layer in range(shape.layers):
        block = {
            "attn_norm": torch.ones(width),
            "attn_q": normal(width, width, 0.04),
            "attn_k": normal(width, width, 0.04),
            "attn_v": normal(width, width, 0.04),
            "attn_output": normal(width, width, out_std),
            "ffn_norm": torch.ones(width),
            "ffn_gate": normal(ffn, width, 0.04),
            "ffn_up": normal(ffn, width, 0.04),
            "ffn_down": normal(width, ffn, out_std),
        }
        weights |= {f"blk.{layer}.{name}.weight": value for name, value in block.items()}
    weights["output_norm.weight"] = torch.ones(width)
    return weights


def n_parameters(weights: Weights) -> int:
    """How many numbers the model has."""
    return sum(weight.numel() for weight in weights.values())


def hidden(weights: Weights, tokens: Tensor, shape: Shape) -> Tensor:
    """The last hidden state, (B, T) -> (B, T, D)."""
    x = functional.embedding(tokens, weights["token_embd.weight"])
    cos, sin = (turn.to(x.device) for turn in rotations(tokens.shape[1], shape))
    for layer in range(shape.layers):
        block = {
            name: weights[f"blk.{layer}.{name}.weight"]
            for name in ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output")
        }
        x = x + _attention(_norm(x, block["attn_norm"], shape), block, cos, sin, shape)
        normed = _norm(x, weights[f"blk.{layer}.ffn_norm.weight"], shape)
        x = x + _ffn(normed, weights, layer)
    return _norm(x, weights["output_norm.weight"], shape)


def logits(weights: Weights, states: Tensor) -> Tensor:
    """Scores over the vocabulary, (..., D) -> (..., V), through the output head."""
    return functional.linear(states, weights["output.weight"])


def rotations(n_tokens: int, shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (T, head width / 2)."""
    half = shape.width // shape.heads // 2
    frequencies = shape.rope_base ** (-torch.arange(half).float() / half)
    angles = torch.arange(n_tokens).float()[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn neighbouring pairs of the last axis of (..., T, head width) by the positions."""
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2)


def _norm(x: Tensor, weight: Tensor, shape: Shape) -> Tensor:
    return functional.rms_norm(x, (shape.width,), weight, shape.norm_eps)


def _attention(
    x: Tensor, block: dict[str, Tensor], cos: Tensor, sin: Tensor, shape: Shape
) -> Tensor:
    n_seqs, n_tokens, _ = x.shape
    fused = torch.cat([block["attn_q"], block["attn_k"], block["attn_v"]])
    heads = (
        functional.linear(x, fused)
        .view(n_seqs, n_tokens, 3, shape.heads, -1)
        .permute(2, 0, 3, 1, 4)
    )
    query, key = rotate(heads[:2], cos.to(heads.dtype), sin.to(heads.dtype))
    # Written out: on a CPU with bf16 it takes a third of the fused kernel's time (measured).
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    shares = torch.softmax(scores + _future(n_tokens, scores), dim=-1)
    mixed = (shares @ heads[2]).transpose(1, 2).reshape(n_seqs, n_tokens, shape.width)
    return functional.linear(mixed, block["attn_output"])


def _future(n_tokens: int, scores: Tensor) -> Tensor:
    """Minus infinity where a token would look ahead, (T, T)."""
    blocked = torch.full(
        (n_tokens, n_tokens), float("-inf"), dtype=scores.dtype, device=scores.device
    )
    return blocked.triu(1)


def _ffn(x: Tensor, weights: Weights, layer: int) -> Tensor:
    gate = weights[f"blk.{layer}.ffn_gate.weight"]
    up = weights[f"blk.{layer}.ffn_up.weight"]
    gated, straight = functional.linear(x, torch.cat([gate, up])).chunk(2, dim=-1)
    return functional.linear(
        functional.silu(gated) * straight, weights[f"blk.{layer}.ffn_down.weight"]
    )
