"""The training loop: bf16, warm-up, constant, linear decay; goes on from a checkpoint.

In: a corpus. Out: a checkpoint file with weights, optimiser and step. Time in s.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .corpus import Batch, Corpus, batches
from .fake_quant import quantised
from .llama import Shape, Weights, fresh_weights, hidden, logits, n_parameters
from .optimiser import Optimiser

Forward = Callable[[Weights, Tensor, Shape], Tensor]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how to train.

    Attributes:
        steps: the end of the training.
        minutes: its end by the clock, if that comes first; the schedule follows whichever of the
            two is further on, so that a shared machine still ends with a small learning rate.
        decay_from: the share of the training after which the learning rate falls, to zero.
        quantise_from: the share after which the forward pass sees 4-bit weights; 1 for never.
        prompt_weight: weight of the prompt's own tokens in the loss, until the 4-bit part.
    """

    steps: int
    minutes: float
    decay_from: float
    quantise_from: float
    prompt_weight: float
    batch_tokens: int
    seed: int
    save_every: int = 200

    def progress(self, step: int, trained_s: float) -> float:
        """How much of the training is behind us, 0 to 1."""
        return min(1.0, max(step / self.steps, trained_s / 60 / self.minutes))

    def lr_factor(self, step: int, progress: float, warmup: int = 100) -> float:
        """The share of the full learning rate."""
        rising = min(1.0, (step + 1) / warmup)
        return rising * min(1.0, (1 - progress) / (1 - self.decay_from))


@dataclass(slots=True)
class Run:
    """Weights, optimiser, and how much was done."""

    shape: Shape
    weights: Weights
    optimiser: Optimiser
    step: int = 0
    four_bit_steps: int = 0
    trained_s: float = 0.0


def train(corpus: Corpus, run: Run, plan: Plan, checkpoint: Path) -> None:
    """Train from `run.step` to the end of the plan, saving now and then and at the end."""
    stream = batches(corpus, plan.batch_tokens, plan.seed, first=run.step)
    losses: deque[float] = deque(maxlen=50)
    # Most of a step is element by element; fused it takes 0.57 of the time (measured, 2 cores).
    forward: Forward = torch.compile(hidden, dynamic=True)
    print(f"{n_parameters(run.weights):,} parameters, from step {run.step}", flush=True)
    while (progress := plan.progress(run.step, run.trained_s)) < 1:
        losses.append(_step(run, plan, progress, next(stream), forward))
        if run.step % 50 == 0:
            print(
                f"step {run.step}  {progress:.0%}  loss {sum(losses) / len(losses):.4f}  "
                f"lr x{plan.lr_factor(run.step, progress):.2f}  {run.trained_s / 60:.1f} min",
                flush=True,
            )
        if run.step % plan.save_every == 0:
            save(run, checkpoint)
    save(run, checkpoint)


def summary(run: Run, plan: Plan, corpus: Corpus) -> dict[str, int | float]:
    """What `model.toml` tells about the training."""
    return {
        "parameters": n_parameters(run.weights),
        "longest_row_tokens": corpus.longest_row_tokens,
        "seed": plan.seed,
        "rows": corpus.n_rows,
        "steps": run.step,
        "batch_tokens": plan.batch_tokens,
        "four_bit_steps": run.four_bit_steps,
        "minutes": round(run.trained_s / 60, 1),
    }


def fresh_run(shape: Shape, seed: int, device: str = "cpu") -> Run:
    """A run before its first step."""
    weights = {
        name: weight.to(device).requires_grad_()
        for name, weight in fresh_weights(shape, seed).items()
    }
    return Run(shape, weights, Optimiser(weights))


def save(run: Run, path: Path) -> None:
    """Write the checkpoint; an interrupted write leaves the old one."""
    state = {
        "shape": asdict(run.shape),
        "weights": {name: weight.detach() for name, weight in run.weights.items()},
        "optimiser": run.optimiser.state(),
        "step": run.step,
        "four_bit_steps": run.four_bit_steps,
        "trained_s": run.trained_s,
    }
    fresh = path.with_suffix(".new")
    torch.save(state, fresh)
    fresh.replace(path)


def load(path: Path, device: str = "cpu") -> Run:
    """Read a checkpoint that `save` wrote, wherever it was trained."""
    state = torch.load(path, weights_only=True, map_location=device)
    weights = {name: weight.requires_grad_() for name, weight in state["weights"].items()}
    run = Run(Shape(**state["shape"]), weights, Optimiser(weights))
    run.optimiser.restore(state["optimiser"])
    run.step, run.trained_s = state["step"], state["trained_s"]
    run.four_bit_steps = state["four_bit_steps"]
    return run


def _step(run: Run, plan: Plan, progress: float, batch: Batch, forward: Forward) -> float:
    """One batch; the loss of its answers before the update."""
    started = time.monotonic()
    four_bit = progress >= plan.quantise_from
    weights = quantised(run.weights) if four_bit else run.weights
    device = run.weights["output.weight"].device
    with torch.autocast(device.type, dtype=torch.bfloat16):
        states = forward(weights, torch.from_numpy(batch.inputs).to(device), run.shape)
    loss = mean_loss(weights, states, batch, batch.in_answer)
    prompt_weight = 0.0 if four_bit else plan.prompt_weight
    total = loss
    if prompt_weight:
        total = loss + prompt_weight * mean_loss(weights, states, batch, batch.in_prompt)
    total.backward()
    run.optimiser.step(plan.lr_factor(run.step, progress))
    run.step += 1
    run.four_bit_steps += four_bit
    run.trained_s += time.monotonic() - started
    return float(loss.item())


def mean_loss(weights: Weights, states: Tensor, batch: Batch, places: NDArray[np.bool_]) -> Tensor:
    """Mean cross entropy over the places of a batch."""
    with torch.autocast(states.device.type, dtype=torch.bfloat16):
        scores = logits(weights, states[torch.from_numpy(places).to(states.device)])
    targets = torch.from_numpy(batch.targets[places]).to(states.device)
    return functional.cross_entropy(scores.float(), targets)
