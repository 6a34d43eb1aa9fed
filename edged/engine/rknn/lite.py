"""rknn-toolkit-lite2, whose functions log and return where others raise, and raise where they may.

In:  a model file, numbers of tokens.     Out: logits, or `LiteFailed`.
Threads: one thread calls it. Nothing of it is imported where the backend is another one.
Source: rknnlite/api/rknn_lite.py of 2.5.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the child process does without the configuration
    from edged.config import CoreMask

# Source: RKNNLite.NPU_CORE_*.
CORES: Mapping[CoreMask, int] = {"auto": 0, "0": 1, "1": 2, "2": 4, "0_1": 3, "0_1_2": 7}
# The module knows int8 to int16, float16 and float32; only the last holds every token's number.
DATA_TYPE = "float32"
INSTALL = "install rknn-toolkit-lite2 2.3 or newer into edged's environment (aarch64 only)"


class LiteFailed(Exception):
    """The module did not do what it was asked; its text says what."""


class Lite:
    """One classifier in the NPU.

    Raises:
        LiteFailed: the module is not there or cannot be loaded.
    """

    def __init__(self) -> None:
        try:
            from rknnlite.api import RKNNLite
        except (ImportError, OSError) as error:
            raise LiteFailed(f"rknnlite cannot be imported: {error}; {INSTALL}") from error
        self._lite: Any = RKNNLite()

    def platforms(self, model: Path) -> str:
        """Return what the model file says of its SoCs, as text; the NPU is not opened.

        A file that is no model makes the module raise whatever comes up: so this is for a child.
        """
        return str(self._lite.list_support_target_platform(str(model)))

    def open(self, model: Path, cores: CoreMask) -> str | None:
        """Load a model into the NPU; return the runtime's version, if it tells.

        Raises:
            LiteFailed: it is missing, or no model of this board's.
        """
        # Reads the file and looks at nothing: junk is found by init_runtime.
        if self._lite.load_rknn(str(model)) != 0:
            raise LiteFailed(f"{model}: the model cannot be read")
        if self._lite.init_runtime(core_mask=CORES[cores]) != 0:
            raise LiteFailed(
                f"{model}: the runtime did not open it; is librknnrt.so installed, the driver the "
                "vendor's, the model converted for this SoC, and edged's user in the NPU's group?"
            )
        version: str | None = self._lite.get_sdk_version()
        return version

    def logits(self, inputs: list[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
        """Return `count` logits.

        Raises:
            LiteFailed: there are none, another number, or they are no numbers.
        """
        outputs = self._lite.inference(inputs=inputs, data_type=DATA_TYPE)
        if not outputs:
            raise LiteFailed("the runtime returned nothing")
        logits = np.asarray(outputs[0], dtype=np.float32).reshape(-1)
        if logits.size != count:
            raise LiteFailed(
                f"the model has {logits.size} outputs and rknn.labels names {count}; name one "
                "label for each output"
            )
        if not np.isfinite(logits).all():
            raise LiteFailed("the runtime returned values that are no numbers")
        return logits

    def close(self) -> None:
        """Give the NPU back."""
        self._lite.release()
