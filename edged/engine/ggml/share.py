"""Which weights of a GGUF file a ggml backend for Rockchip's NPU would take.

In:  the tensors of a header.     Out: `Share`. Pure.
Source: rk-llama.cpp, ggml/src/ggml-rknpu2, rknpu2-configuration.cpp: plain matrices of four types,
inputs in steps of 32, outputs in steps of 16 (F16) or 32 (8 bits). Everything else stays on the
CPU without a word: other types, the embedding, which is looked up, and mixtures of experts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edged.engine.gguf_file import Tensor

# Type of the file -> bytes that a weight takes in the NPU, with Q4_0 taken as 8 bits: the NPU of an
# RK3588 multiplies 4 bits by 4 bits only, which costs quality and speed.
NPU_BYTES = {"F16": 2, "Q8_0": 1, "Q6_K": 1, "Q4_0": 1}
INPUTS_STEP = 32
OUTPUTS_STEP = {2: 16, 1: 32}
EMBEDDING = "token_embd.weight"


@dataclass(frozen=True, slots=True)
class Share:
    """Where the weights go.

    Attributes:
        by_kind: weights of each type of the file, those of norms and biases left out.
        npu_weights: what the NPU would take.
        npu_bytes: what its own copy of them takes, beside the file.
    """

    by_kind: Mapping[str, int]
    npu_weights: int
    npu_bytes: int

    @property
    def weights(self) -> int:
        """Return the weights of all matrices."""
        return sum(self.by_kind.values())

    @property
    def npu_share(self) -> float:
        """Return the part of the weights that the NPU would take, 0..1."""
        return self.npu_weights / self.weights if self.weights else 0.0

    def share_of(self, prefix: str) -> float:
        """Return the part of the weights whose type's name begins so."""
        found = sum(count for kind, count in self.by_kind.items() if kind.startswith(prefix))
        return found / self.weights if self.weights else 0.0


def share_of(tensors: Iterable[Tensor]) -> Share:
    """Return where the weights of a file would go."""
    matrices = [one for one in tensors if len(one.shape) > 1]
    by_kind: Counter[str] = Counter()
    for one in matrices:
        by_kind[one.kind] += one.weights
    taken = [one for one in matrices if is_taken(one)]
    return Share(
        by_kind=by_kind,
        npu_weights=sum(one.weights for one in taken),
        npu_bytes=sum(one.weights * NPU_BYTES[one.kind] for one in taken),
    )


def is_taken(tensor: Tensor) -> bool:
    """Return whether the NPU would multiply by this tensor."""
    if len(tensor.shape) != 2 or tensor.name == EMBEDDING or tensor.kind not in NPU_BYTES:
        return False
    inputs, outputs = tensor.shape
    return inputs % INPUTS_STEP == 0 and outputs % OUTPUTS_STEP[NPU_BYTES[tensor.kind]] == 0
