"""Has the NPU compute one batch of each shape that it will ever see, and shows that it did.

In:  the loaded backend.     Out: `NpuReady`, or a refusal.
Such a backend rounds the rows of a product up to a power of two, makes a context for each tensor
and shape at first use, and never gives one back. So there is a fixed set, made before anyone waits.
Source: ggml-rknpu2.cpp of rk-llama.cpp; 36 to 141 ms for a first use (published, pty819).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edged.engine.backend import Backend, Run
from edged.engine.frames import NpuReady
from edged.engine.ggml.open import Npu
from edged.errors import EngineUnusable


def warmed(npu: Npu, backend: Backend, progress: Callable[[float], bool]) -> NpuReady:
    """Return what the NPU has shown.

    Raises:
        EngineUnusable: it was handed none of the model's products.
    """
    token = backend.vocabulary.bos or 0
    before = npu.counts().matmuls
    for runs in shapes(token, backend.n_batch, backend.n_sequences):
        progress(1.0)
        backend.decode(runs)
        for run in runs:
            backend.drop(run.sequence)
    matmuls = npu.counts().matmuls
    if matmuls == before:
        raise EngineUnusable(
            f"the NPU ({npu.name}) executed no product of this model: all its weights stay on the "
            "CPU, as those of Q4_K, Q5_K and of experts do; quantise it to Q8_0, or unset "
            "npu.library: the CPU computes then"
        )
    return NpuReady(npu.name, npu.weights_share, matmuls)


def shapes(token: int, n_batch: int, n_sequences: int) -> Iterator[list[Run]]:
    """Yield batches of 1, 2, 4 ... tokens up to `n_batch`, a power of two.

    As far as there are sequences, each token has one of its own and is sampled: so the output's
    matrix, which has a row for each sampled token, sees those shapes too.
    """
    for bits in range(n_batch.bit_length()):
        count = 1 << bits
        if count <= n_sequences:
            yield [Run(sequence, 0, [token], True) for sequence in range(count)]
        else:
            yield [Run(0, 0, [token] * count, True)]
    rows = min(n_sequences, n_batch)
    if rows & (rows - 1):
        yield [Run(sequence, 0, [token], True) for sequence in range(rows)]
