"""Behaves as the real module was seen to, on a board that has an NPU, and computes something.

Measured with the real 2.5.0 for aarch64, emulated, without a board: `list_support_target_platform`
of a missing file prints and raises ValueError, of junk it raises struct.error. `load_rknn` of a
missing file gives -1 and of junk 0; `init_runtime` logs and gives -1; `get_sdk_version` gives None
before it; `list_devices` raises RuntimeError. Read in its source: `inference` gives None where
anything fails.
A model is a JSON file: `labels`, `words` (number of a token -> place of the label it speaks for),
`platforms`, and `fault`: what goes wrong, and behind how many runs, or once which file is there,
which is gone then.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np


class RKNNLite:
    NPU_CORE_AUTO, NPU_CORE_0, NPU_CORE_1, NPU_CORE_2 = 0, 1, 2, 4
    NPU_CORE_0_1, NPU_CORE_0_1_2, NPU_CORE_ALL = 3, 7, 0xFFFF

    def __init__(self, verbose: bool = False, verbose_file: str | None = None) -> None:
        print("W rknn-toolkit-lite2 version: 2.5.0")
        self._data: bytes | None = None
        self._model: dict[str, Any] | None = None
        self._runs = 0

    def load_rknn(self, path: str, key_path: str | None = None) -> int:
        if not Path(path).exists():
            return -1
        self._data = Path(path).read_bytes()
        return 0

    def list_devices(self) -> tuple[list[str], list[str]]:
        raise RuntimeError("adb: not found")

    def list_support_target_platform(self, rknn_model: str | None = None) -> Any:
        if rknn_model is not None and not Path(rknn_model).exists():
            print(f"E The model {rknn_model} does not exist.")
            raise ValueError(f"The model {rknn_model} does not exist.")  # measured
        model = json.loads(Path(rknn_model or "").read_bytes())  # raises on junk, as the real one
        return {"support_target_platform": model["platforms"]}

    def init_runtime(
        self,
        target: str | None = None,
        device_id: str | None = None,
        async_mode: bool = False,
        core_mask: int = NPU_CORE_AUTO,
    ) -> int:
        try:
            model = json.loads(self._data or b"")
        except ValueError:
            return -1
        if model.get("fault") == "no device":
            return -1
        if model.get("fault") == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        self._model = model
        return 0

    def get_sdk_version(self) -> str | None:
        return None if self._model is None else "2.5.0 (fake)"

    def inference(
        self,
        inputs: list[Any],
        data_type: str | None = None,
        data_format: str | None = None,
        inputs_pass_through: list[int] | None = None,
        get_frame_id: bool = False,
        reuse_outputs: bool = False,
    ) -> list[Any] | None:
        if self._model is None or data_type != "float32" or len(inputs) != 2:
            return None
        self._runs += 1
        ids, mask = (np.asarray(one)[0].astype(int) for one in inputs)
        logits = np.zeros(self._model["labels"], dtype=np.float32)
        for number, is_real in zip(ids, mask, strict=True):
            place = self._model["words"].get(str(number))
            if is_real and place is not None:
                logits[place] += 4.0
        return self._faulty(logits)

    def release(self) -> None:
        self._model = None

    def _faulty(self, logits: Any) -> list[Any] | None:
        assert self._model is not None
        fault, _, behind = str(self._model.get("fault", "")).partition(" ")
        if not fault or not self._is_due(behind):
            return [logits[None]]
        if fault == "hang":
            time.sleep(3600)
        if fault == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        return {"none": None, "nan": [logits[None] * np.nan], "short": [logits[None, :1]]}[fault]

    def _is_due(self, behind: str) -> bool:
        if not behind.startswith("/"):
            return self._runs > int(behind or 0)
        is_there = Path(behind).exists()
        Path(behind).unlink(missing_ok=True)
        return is_there
