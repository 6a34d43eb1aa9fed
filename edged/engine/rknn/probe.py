"""What the module says of itself and a model: `python -m`, in a child process.

In:  a model file, a core mask, whether the NPU may be opened.     Out: a line of JSON for each
answer, as it comes. What the module raises ends this process, and its last line says what it was.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from edged.engine.rknn.lite import Lite, LiteFailed

if TYPE_CHECKING:
    from edged.config import CoreMask


def main(model: str, cores: str, shape: str) -> int:
    """Ask; `shape` is inputs, tokens and labels of the model, or empty: leave the NPU alone."""
    try:
        _tell("module", _version())
        lite = Lite()
        _tell("platforms", lite.platforms(Path(model)))
        if shape:
            inputs, tokens, labels = map(int, shape.split(","))
            _tell("runtime", lite.open(Path(model), cast("CoreMask", cores)))
            lite.logits([np.zeros((1, tokens), dtype=np.float32)] * inputs, labels)
            _tell("computes", True)
            lite.close()
    except LiteFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


def _version() -> str | None:
    try:
        return metadata.version("rknn-toolkit-lite2")
    except metadata.PackageNotFoundError:
        return None


def _tell(name: str, value: object) -> None:
    print(json.dumps({name: value}), flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
