"""Muon for the matrices, AdamW for embedding, output head and norms.

Muon replaces a matrix's momentum by its nearest orthogonal matrix, so that all directions learn at
the same pace.
Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .fake_quant import is_4_bit
from .llama import Weights

MUON_LR = 0.01
EMBEDDING_LR = 0.005
ADAM_LR = 0.002
_MOMENTUM = 0.95
_WEIGHT_DECAY = 0.02


class Optimiser:
    """Both rules behind one step; `state` round-trips through a checkpoint."""

    def __init__(self, weights: Weights) -> None:
        self._matrices = {name: weights[name] for name in weights if is_4_bit(name)}
        self._momenta = {name: torch.zeros_like(weight) for name, weight in self._matrices.items()}
        embedding = weights["token_embd.weight"]
        rest = [weights[name] for name in weights if not is_4_bit(name) and "embd" not in name]
        self._adam = torch.optim.AdamW(
            [{"params": [embedding], "base": EMBEDDING_LR}, {"params": rest, "base": ADAM_LR}],
            betas=(0.9, 0.98),
            weight_decay=0.0,
        )

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]  # torch has no types here
    def step(self, lr_factor: float) -> None:
        """Apply the gradients with both learning rates scaled by `lr_factor`, then clear them."""
        for group in self._adam.param_groups:
            group["lr"] = group["base"] * lr_factor
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        for same in _by_shape(self._matrices).values():
            self._step_matrices(same, MUON_LR * lr_factor)

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"momenta": self._momenta, "adam": self._adam.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, momentum in state["momenta"].items():
            self._momenta[name].copy_(momentum)
        self._adam.load_state_dict(state["adam"])

    def _step_matrices(self, names: list[str], lr: float) -> None:
        for name in names:
            gradient = self._matrices[name].grad
            self._momenta[name].mul_(_MOMENTUM).add_(gradient, alpha=1 - _MOMENTUM)
            gradient.lerp_(self._momenta[name], _MOMENTUM)
        stack = torch.stack([self._matrices[name].grad for name in names])
        rows, columns = stack.shape[-2:]
        scale = max(1.0, rows / columns) ** 0.5
        for name, update in zip(names, _orthogonal(stack), strict=True):
            weight = self._matrices[name]
            weight.mul_(1 - lr * _WEIGHT_DECAY).add_(update, alpha=-lr * scale)
            weight.grad = None


def _by_shape(matrices: Weights) -> dict[tuple[int, ...], list[str]]:
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, weight in matrices.items():
        groups.setdefault(tuple(weight.shape), []).append(name)
    return groups


def _orthogonal(stack: Tensor) -> Iterable[Tensor]:
    """Newton-Schulz, five steps: (n, rows, columns) -> nearly orthogonal matrices."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = stack.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.mT if tall else x
    return list(x.float())
