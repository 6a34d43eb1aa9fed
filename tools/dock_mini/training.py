"""The training loop: bf16 on the CPU, warm-up, constant, linear decay; resumable from a checkpoint.

In: a corpus. Out: a checkpoint file with weights, optimiser and step. Time in s.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn import functional

from .corpus import Batch, Corpus, batches
from .fake_quant import quantised
from .llama import Shape, Weights, fresh_weights, hidden, logits, n_parameters
from .optimiser import Optimiser


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how to train.

    Attributes:
        decay_from: the step at which the learning rate starts to fall to zero.
        quantise_from: from this step on the forward pass sees 4-bit weights; None for never.
    """

    steps: int
    decay_from: int
    quantise_from: int | None
    batch_seqs: int
    seed: int
    save_every: int = 250

    def lr_factor(self, step: int, warmup: int = 100) -> float:
        """The share of the full learning rate at a step."""
        rising = min(1.0, (step + 1) / warmup)
        falling = (self.steps - step) / max(1, self.steps - self.decay_from)
        return rising * min(1.0, falling)


@dataclass(slots=True)
class Run:
    """Weights, optimiser and the next step."""

    shape: Shape
    weights: Weights
    optimiser: Optimiser
    step: int = 0
    trained_s: float = 0.0


def train(corpus: Corpus, run: Run, plan: Plan, checkpoint: Path) -> None:
    """Train from `run.step` to `plan.steps`, saving now and then and at the end."""
    stream = batches(corpus, plan.batch_seqs, plan.seed, first=run.step)
    print(f"{n_parameters(run.weights):,} parameters, step {run.step} of {plan.steps}", flush=True)
    for _ in range(run.step, plan.steps):
        loss = _step(run, plan, stream)
        if run.step % 50 == 0:
            print(
                f"step {run.step}  loss {loss:.4f}  lr x{plan.lr_factor(run.step):.2f}  "
                f"{run.trained_s / 60:.1f} min",
                flush=True,
            )
        if run.step % plan.save_every == 0 or run.step == plan.steps:
            save(run, checkpoint)


def fresh_run(shape: Shape, seed: int) -> Run:
    """A run before its first step."""
    weights = fresh_weights(shape, seed)
    for weight in weights.values():
        weight.requires_grad_()
    return Run(shape, weights, Optimiser(weights))


def save(run: Run, path: Path) -> None:
    """Write the checkpoint; an interrupted write leaves the old one."""
    state = {
        "shape": asdict(run.shape),
        "weights": {name: weight.detach() for name, weight in run.weights.items()},
        "optimiser": run.optimiser.state(),
        "step": run.step,
        "trained_s": run.trained_s,
    }
    fresh = path.with_suffix(".new")
    torch.save(state, fresh)
    fresh.replace(path)


def load(path: Path) -> Run:
    """Read a checkpoint that `save` wrote."""
    state = torch.load(path, weights_only=True)
    weights = {name: weight.requires_grad_() for name, weight in state["weights"].items()}
    run = Run(Shape(**state["shape"]), weights, Optimiser(weights))
    run.optimiser.restore(state["optimiser"])
    run.step, run.trained_s = state["step"], state["trained_s"]
    return run


def _step(run: Run, plan: Plan, stream: Iterator[Batch]) -> float:
    """One batch; the loss before the update."""
    started = time.monotonic()
    batch = next(stream)
    four_bit = plan.quantise_from is not None and run.step >= plan.quantise_from
    weights = quantised(run.weights) if four_bit else run.weights
    loss = answer_loss(weights, batch, run.shape)
    loss.backward()
    run.optimiser.step(plan.lr_factor(run.step))
    run.step += 1
    run.trained_s += time.monotonic() - started
    return float(loss.item())


def answer_loss(weights: Weights, batch: Batch, shape: Shape) -> torch.Tensor:
    """Mean cross entropy over the answer tokens of a batch."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = hidden(weights, torch.from_numpy(batch.inputs), shape)
        scores = logits(weights, states[torch.from_numpy(batch.counted)])
    return functional.cross_entropy(scores.float(), torch.from_numpy(batch.targets[batch.counted]))
