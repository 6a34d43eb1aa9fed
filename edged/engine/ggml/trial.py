"""Has the device compute one product of matrices: `python -m`, in a child process.

In:  a library, a weight type.     Out: one line of JSON, `Result`, or a sentence and exit 1.
A library of another ggml, a driver's fault or an assertion ends this process and no other.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edged.engine.ggml.matmul import product
from edged.engine.ggml.registry import open_library
from edged.errors import EngineUnusable


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it.

    Attributes:
        device: its name.
        matmuls: how many the device executed.
        error: length of the difference to the CPU's result, as a share of that one's; not finite
            where the device's numbers are not.
    """

    device: str
    matmuls: int
    error: float


def tried(library: Path, kind: str) -> Result:
    """Return how the device's product compares with the CPU's."""
    expected = product(kind, None)
    device = open_library(library)
    got = product(kind, device)
    error = float(np.linalg.norm(got - expected) / np.linalg.norm(expected))
    return Result(device.name, device.counts().matmuls, error)


def main(library: str, kind: str) -> int:
    """Print the result; return 0 when there is one."""
    try:
        result = tried(Path(library), kind)
    except EngineUnusable as unusable:
        print(unusable)
        return 1
    print(json.dumps(asdict(result)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
